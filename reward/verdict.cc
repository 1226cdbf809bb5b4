#include "reward/verdict.h"

namespace temper {

std::string_view name_of(VerdictStatus status) {
  switch (status) {
    case VerdictStatus::ok:
      return "ok";
    case VerdictStatus::wrong:
      return "wrong";
    case VerdictStatus::no_answer:
      return "no_answer";
    case VerdictStatus::bad_gold:
      return "bad_gold";
    case VerdictStatus::timeout:
      return "timeout";
    case VerdictStatus::error:
      return "error";
    case VerdictStatus::not_asked:
      return "not_asked";
  }
  return "?";
}

}  // namespace temper
