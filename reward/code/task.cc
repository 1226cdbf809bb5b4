#include "reward/code/task.h"

#include <algorithm>

#include "core/error.h"
#include "reward/text.h"

namespace temper {
namespace {

std::string text_of(const JsonValue* value) {
  return value != nullptr && value->IsString()
             ? std::string(value->GetString(), value->GetStringLength())
             : "";
}

std::string field(const JsonValue& object, const char* name) {
  return text_of(find_member(object, name));
}

// A text, or the lines of an array of texts.
std::string joined_field(const JsonValue& object, const char* name) {
  const JsonValue* value = find_member(object, name);
  if (value == nullptr || !value->IsArray()) return text_of(value);
  std::string text;
  for (const JsonValue& line : value->GetArray()) text += text_of(&line) + "\n";
  return text;
}

// A JSON document in a text; null if it is none.
Json parsed(const std::string& text) {
  try {
    return parse_json(text, "tests");
  } catch (const UserError&) {
    return {};
  }
}

class TaskReader {
 public:
  explicit TaskReader(const JsonValue& object) : object_(object) {}

  // False with a reason if the object has no tests, or some that cannot be used.
  bool read(std::string& reason) {
    if (!read_tests()) {
      reason = fault_.empty() ? "the row has no tests" : fault_;
      return false;
    }
    if (!read_options()) {
      reason = fault_;
      return false;
    }
    return true;
  }

  CodeTask task;

 private:
  bool fail(const std::string& why) {
    fault_ = why;
    return false;
  }

  bool read_tests() {
    if (const JsonValue* tests = find_member(object_, "tests")) return read_list(*tests);
    if (const JsonValue* tests = find_member(object_, "test_list")) return read_list(*tests);
    if (const JsonValue* columns = find_member(object_, "input_output")) {
      if (!columns->IsString()) return read_columns(*columns);
      const Json inner = parsed(text_of(columns));
      return inner.IsObject() ? read_columns(inner) : fail("'input_output' is not JSON");
    }
    const JsonValue* test = find_member(object_, "test");
    if (test == nullptr) return false;
    if (!test->IsString()) return read_list(*test);
    const std::string text = text_of(test);
    task.entry = field(object_, "entry_point");
    if (!task.entry.empty()) {
      task.kind = CodeTask::Kind::check;
      task.tests = {text};
      return true;
    }
    if (trimmed(text).starts_with("[")) {
      const Json inner = parsed(text);
      if (inner.IsArray()) return read_list(inner);
    }
    task.kind = CodeTask::Kind::assertions;
    task.tests = {text};
    return !trimmed(text).empty() || fail("'test' is empty");
  }

  bool read_list(const JsonValue& list) {
    if (!list.IsArray() || list.Empty()) return fail("the tests are not a list with an element");
    const bool texts = list[0].IsString();
    task.kind = texts ? CodeTask::Kind::assertions : CodeTask::Kind::streams;
    for (const JsonValue& test : list.GetArray()) {
      if (texts && test.IsString()) {
        task.tests.push_back(text_of(&test));
      } else if (texts || !test.IsObject() || !read_stream(test)) {
        return fail("a test is neither an assertion nor an input with an output");
      }
    }
    return true;
  }

  // {"input": "...", "output": "..."}, or {"input": {"stdin": ...}, "output": {"stdout": ...}}.
  bool read_stream(const JsonValue& test) {
    const JsonValue* input = find_member(test, "input");
    const JsonValue* output = find_member(test, "output");
    if (input != nullptr && input->IsObject()) input = find_member(*input, "stdin");
    if (output != nullptr && output->IsObject()) output = find_member(*output, "stdout");
    if (output == nullptr || !output->IsString() || (input != nullptr && !input->IsString())) {
      return false;
    }
    task.streams.push_back({text_of(input), text_of(output)});
    return true;
  }

  // {"inputs": [...], "outputs": [...]}.
  bool read_columns(const JsonValue& columns) {
    const JsonValue* inputs = find_member(columns, "inputs");
    const JsonValue* outputs = find_member(columns, "outputs");
    if (find_member(columns, "fn_name") != nullptr) {
      return fail("tests of a function in 'input_output' are not supported: write assertions");
    }
    if (inputs == nullptr || outputs == nullptr || !inputs->IsArray() || !outputs->IsArray() ||
        inputs->Size() != outputs->Size() || inputs->Empty()) {
      return fail("'inputs' and 'outputs' are not lists of one length");
    }
    for (rapidjson::SizeType i = 0; i < inputs->Size(); ++i) {
      if (!(*inputs)[i].IsString() || !(*outputs)[i].IsString()) {
        return fail("an input or output is not a text");
      }
      task.streams.push_back({text_of(&(*inputs)[i]), text_of(&(*outputs)[i])});
    }
    return true;
  }

  bool read_options() {
    for (const char* name : {"test_imports", "test_setup_code", "setup"}) {
      task.setup += joined_field(object_, name);
    }
    for (const char* name : {"reference", "canonical_solution", "code"}) {
      if (task.reference.empty()) task.reference = field(object_, name);
    }
    if (task.kind == CodeTask::Kind::check) task.prompt = field(object_, "prompt");
    if (const JsonValue* language = find_member(object_, "language")) {
      task.language = language_of(text_of(language));
      if (!task.language) return fail("'language' is neither python nor cpp");
    }
    if (const JsonValue* tolerance = find_member(object_, "tolerance")) {
      if (!tolerance->IsNumber() || tolerance->GetDouble() < 0) {
        return fail("'tolerance' is not a number of at least 0");
      }
      task.tolerance = tolerance->GetDouble();
    }
    return true;
  }

  const JsonValue& object_;
  std::string fault_;
};

}  // namespace

std::optional<CodeLanguage> language_of(std::string_view name) {
  std::string lower(name);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  if (lower == "python" || lower == "py" || lower == "python3") return CodeLanguage::python;
  if (lower == "cpp" || lower == "c++" || lower == "cc" || lower == "cxx") return CodeLanguage::cpp;
  return std::nullopt;
}

std::optional<CodeTask> read_code_task(const JsonValue* row, std::string_view gold,
                                       std::string& reason) {
  const auto read = [&](const JsonValue& object) -> std::optional<CodeTask> {
    TaskReader reader(object);
    if (!reader.read(reason)) return std::nullopt;
    return std::move(reader.task);
  };
  if (row != nullptr && row->IsObject()) {
    const JsonValue* inside = find_member(*row, "gold");
    if (inside != nullptr && inside->IsObject()) return read(*inside);
  }
  if (trimmed(gold).starts_with("{")) {
    const Json object = parsed(std::string(gold));
    if (object.IsObject()) return read(object);
  }
  if (row != nullptr && row->IsObject()) return read(*row);
  reason = "there is no row with tests";
  return std::nullopt;
}

}  // namespace temper
