#include "core/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "core/error.h"

namespace temper {
namespace {

constexpr size_t kJitStackStart = 32 * 1024;
constexpr size_t kJitStackMax = 64 * 1024 * 1024;

std::string pcre2_message(int code) {
  PCRE2_UCHAR buffer[256];
  pcre2_get_error_message(code, buffer, sizeof(buffer));
  return reinterpret_cast<const char*>(buffer);
}

}  // namespace

struct Regex::Impl {
  std::string pattern;
  pcre2_code* code = nullptr;
  bool jit = false;
  ~Impl() { pcre2_code_free(code); }
};

struct Regex::Scratch::Impl {
  pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  pcre2_jit_stack* stack = nullptr;  // made when the first search needs more than the default

  ~Impl() {
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
    pcre2_jit_stack_free(stack);
  }
  // Gives searches a stack of their own; false if they had it already.
  bool grow() {
    if (stack != nullptr) return false;
    stack = pcre2_jit_stack_create(kJitStackStart, kJitStackMax, nullptr);
    pcre2_jit_stack_assign(context, nullptr, stack);
    return stack != nullptr;
  }
};

Regex::Scratch::Scratch() : impl_(std::make_unique<Impl>()) {}
Regex::Scratch::~Scratch() = default;

Regex::Regex(std::string_view pattern, const std::string& where) : impl_(std::make_unique<Impl>()) {
  impl_->pattern = pattern;
  if (pattern.find("&&") != std::string_view::npos) {
    // PCRE2 would read the intersection as two ampersands and split text silently otherwise.
    throw UserError({.what = "the regular expression uses the set operation &&",
                     .where = where,
                     .found = impl_->pattern,
                     .hint = "Temper cannot run this tokenizer"});
  }
  int error = 0;
  PCRE2_SIZE offset = 0;
  // Ruby syntax: ^ and $ always match at line ends.
  impl_->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                              PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE, &error, &offset, nullptr);
  if (impl_->code == nullptr) {
    throw UserError({.what = "the regular expression does not compile: " + pcre2_message(error) +
                             " at offset " + std::to_string(offset),
                     .where = where,
                     .found = impl_->pattern});
  }
  impl_->jit = pcre2_jit_compile(impl_->code, PCRE2_JIT_COMPLETE) == 0;
}

Regex::~Regex() = default;
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;

bool Regex::find(std::string_view subject, size_t from, Scratch& scratch, Match& match) const {
  const auto search = impl_->jit ? pcre2_jit_match : pcre2_match;
  const auto* text = reinterpret_cast<PCRE2_SPTR>(subject.data());
  Scratch::Impl& memory = *scratch.impl_;
  int found = 0;
  do {
    found = search(impl_->code, text, subject.size(), from, PCRE2_NO_UTF_CHECK, memory.data,
                   memory.context);
  } while (found == PCRE2_ERROR_JIT_STACKLIMIT && memory.grow());
  if (found == PCRE2_ERROR_NOMATCH) return false;
  if (found < 0) {
    throw SystemError("the regular expression '" + impl_->pattern +
                      "' gave up: " + pcre2_message(found));
  }
  const PCRE2_SIZE* place = pcre2_get_ovector_pointer(memory.data);
  match = {place[0], place[1]};
  return true;
}

}  // namespace temper
