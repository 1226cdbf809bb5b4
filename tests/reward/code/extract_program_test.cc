#include "reward/code/extract_program.h"

#include "tests/support/catch.h"

using namespace temper;

namespace {

std::string extracted(const std::string& completion,
                      std::optional<CodeLanguage> language = std::nullopt, bool raw = false) {
  std::string reason;
  const auto program = extract_program(completion, language, raw, reason);
  if (!program) return "none: " + reason;
  return (program->language == CodeLanguage::cpp ? "cpp:" : "python:") + program->text;
}

}  // namespace

TEST_CASE("extract_program: the last fenced block of the final part") {
  CHECK(extracted("```python\nx\n```") == "python:x\n");
  CHECK(extracted("```python\nx\n```\nand\n```py\ny\n```\nend") == "python:y\n");
  CHECK(extracted("Here: ```python\ny\n```").starts_with("none"));  // not at a line's start
  CHECK(extracted("<think>```python\nx\n```</think>\n```python\ny\n```") == "python:y\n");
  CHECK(extracted("```c++\nint x;\n```") == "cpp:int x;\n");
  CHECK(extracted("~~~python\n```\nx\n~~~") == "python:```\nx\n");
  CHECK(extracted("````python\n```\nx\n````") == "python:```\nx\n");
  CHECK(extracted("```\nx\n```") == "python:x\n");
  CHECK(extracted("```\nx\n```", CodeLanguage::cpp) == "cpp:x\n");
  CHECK(extracted("```python\n    return 1\n```") == "python:    return 1\n");
  CHECK(extracted("```Python title=a.py\nx\n```") == "python:x\n");
}

TEST_CASE("extract_program: blocks in other languages do not count") {
  CHECK(extracted("```python\nx\n```\nIts output:\n```text\n5\n```") == "python:x\n");
  CHECK(extracted("```cpp\nx\n```\n```python\ny\n```", CodeLanguage::cpp) == "cpp:x\n");
  CHECK(extracted("```java\nx\n```").starts_with("none"));
  CHECK(extracted("```cpp\nx\n```", CodeLanguage::python).starts_with("none"));
}

TEST_CASE("extract_program: what is not there, or not whole, is no program") {
  for (const char* completion :
       {"", "x = 1", "```python\nx = 1", "```python\nx\n```\n```python\ny", "```python\n \n```",
        "<think>```python\nx\n```", "`python x`", "<think>a</think>"}) {
    INFO(completion);
    CHECK(extracted(completion).starts_with("none: "));
  }
  CHECK(extracted("```python\n" + std::string(300 << 10, 'x') + "\n```").starts_with("none"));
}

TEST_CASE("extract_program: without a fence only where it was asked for") {
  CHECK(extracted("    return 1\n", std::nullopt, true) == "python:    return 1\n");
  CHECK(extracted("int x;", CodeLanguage::cpp, true) == "cpp:int x;");
  CHECK(extracted("words\n```java\nx\n```", std::nullopt, true).starts_with("none"));
}
