// Unicode regular expressions. The only file pair that knows PCRE2.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace temper {

// A compiled pattern (UTF-8, Unicode properties, JIT where the machine has it). Immutable after
// construction: any number of threads may search with it, each with its own Scratch.
// The dialect is that of tokenizer.json (Oniguruma with Ruby syntax) as far as PCRE2 agrees.
class Regex {
 public:
  // Working memory of a search; cheap to keep, costly to make for every search.
  class Scratch {
   public:
    Scratch();
    ~Scratch();
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;

   private:
    friend class Regex;
    struct Impl;
    std::unique_ptr<Impl> impl_;
  };

  struct Match {
    size_t begin = 0, end = 0;
  };

  // Throws UserError naming `where` if the pattern does not compile or uses the set operation &&.
  Regex(std::string_view pattern, const std::string& where);
  ~Regex();
  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;

  // The first match at or after `from` in `subject`, which must be valid UTF-8; false if none.
  // Throws SystemError if PCRE2 gives up (match limit).
  bool find(std::string_view subject, size_t from, Scratch& scratch, Match& match) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace temper
