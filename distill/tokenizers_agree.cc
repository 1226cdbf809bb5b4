#include "distill/tokenizers_agree.h"

#include "core/error.h"

namespace temper {
namespace {

[[noreturn]] void refuse(const Tokenizer& teacher, const Tokenizer& student,
                         const std::string& expected, const std::string& found) {
  throw UserError({.what = "teacher and student have different tokenizers, so their logits are of "
                           "different tokens",
                   .where = teacher.path().string() + " and " + student.path().string(),
                   .expected = expected,
                   .found = found,
                   .hint = "distil by the teacher's texts instead: --loss sft"});
}

}  // namespace

void check_tokenizers_agree(const Tokenizer& teacher, const Tokenizer& student) {
  if (teacher.vocab_size() != student.vocab_size())
    refuse(teacher, student, std::to_string(teacher.vocab_size()) + " ids, as the teacher's",
           std::to_string(student.vocab_size()) + " in the student's");
  for (int32_t id = 0; id < teacher.vocab_size(); ++id) {
    if (teacher.token_text(id) == student.token_text(id)) continue;
    refuse(teacher, student, "id " + std::to_string(id) + " is '" + teacher.token_text(id) + "'",
           "'" + student.token_text(id) + "' in the student's");
  }
}

}  // namespace temper
