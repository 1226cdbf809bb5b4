#include "reward/rules/custom.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <set>

#include "core/error.h"
#include "core/linear_regex.h"
#include "core/utf8.h"
#include "reward/language/letters.h"
#include "reward/text.h"

namespace temper {
namespace {

// The finite number that `text` is as a whole; commas between groups of three digits are taken out.
std::optional<double> number_of(std::string text) {
  static const LinearRegex grouped(R"([-+]?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]*)?)", "custom");
  static const LinearRegex plain(R"([-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?)", "custom");
  if (grouped.matches(text)) std::erase(text, ',');
  if (!plain.matches(text)) return std::nullopt;
  const double value = std::strtod(text.c_str(), nullptr);
  return std::isfinite(value) ? std::optional(value) : std::nullopt;
}

// ---- What is judged ---------------------------------------------------------------------------

class Extractor {
 public:
  explicit Extractor(const RuleParameters& p)
      : find_(p.text("find")),
        which_(p.text("which")),
        tag_(p.text("tag")),
        pointer_(p.text("pointer")) {
    if (find_ == "regex") pattern_.emplace(need(p, "pattern"), "rule custom");
    if (find_ == "tag") need(p, "tag");
    if (find_ == "json" && !pointer_.empty() && pointer_[0] != '/') {
      throw UserError({.what = "bad JSON pointer of reward rule 'custom'",
                       .expected = "empty, or beginning with '/'",
                       .found = pointer_});
    }
  }

  // nullopt with a reason if there is nothing to judge, or more than one thing.
  std::optional<std::string> extract(const RewardInput& input, std::string& reason) const {
    if (find_ == "all") return repair_utf8(input.completion);
    if (find_ == "answer") {
      const auto answer = answer_of(input.prompt, input.completion, reason);
      return answer ? std::optional(std::string(*answer)) : std::nullopt;
    }
    if (thinks_without_end(input.prompt, input.completion)) {
      reason = "the thinking is not closed";
      return std::nullopt;
    }
    const std::string text = repair_utf8(trimmed(final_part(input.completion)));
    if (find_ == "regex") return by_pattern(text, reason);
    if (find_ == "tag") return by_tag(text, reason);
    if (find_ == "json") return by_pointer(text, reason);
    if (text.empty()) reason = "no final part";
    return text.empty() ? std::nullopt : std::optional(text);
  }

 private:
  static const std::string& need(const RuleParameters& p, const std::string& name) {
    if (p.text(name).empty()) {
      throw UserError({.what = "reward rule 'custom' needs its parameter '" + name + "'",
                       .where = "find=" + p.text("find"),
                       .expected = {},
                       .found = {},
                       .hint = {}});
    }
    return p.text(name);
  }

  std::optional<std::string> by_pattern(const std::string& text, std::string& reason) const {
    const auto all = pattern_->search_all(text);
    if (all.empty() || (which_ == "only" && all.size() > 1)) {
      reason = all.empty() ? "the pattern does not match" : "the pattern matches more than once";
      return std::nullopt;
    }
    const LinearRegex::Groups& groups = which_ == "first" ? all.front() : all.back();
    for (size_t i = 1; i < groups.size(); ++i) {
      if (groups[i]) return std::string(*groups[i]);
    }
    return std::string(*groups[0]);
  }

  std::optional<std::string> by_tag(const std::string& text, std::string& reason) const {
    const std::string open = "<" + tag_ + ">", close = "</" + tag_ + ">";
    const size_t begin = text.find(open), end = text.find(close);
    if (count_of(text, open) != 1 || count_of(text, close) != 1 || end < begin + open.size()) {
      reason = "not exactly one " + open + "..." + close;
      return std::nullopt;
    }
    return text.substr(begin + open.size(), end - begin - open.size());
  }

  std::optional<std::string> by_pointer(std::string_view text, std::string& reason) const {
    if (text.starts_with("```") && text.ends_with("```") && text.size() >= 6) {
      text.remove_prefix(std::min(text.size() - 3, std::min(text.find('\n'), text.size())));
      text.remove_suffix(3);
    }
    try {
      const Json json = parse_json(trimmed(text), "answer");
      const JsonValue* value = find_by_pointer(json, pointer_);
      if (value != nullptr) return value_text(*value);
      reason = "nothing at " + pointer_;
    } catch (const UserError& error) {
      reason = "the final part is not JSON";
    }
    return std::nullopt;
  }

  std::string find_, which_, tag_, pointer_;
  std::optional<LinearRegex> pattern_;
};

// ---- How it is compared -----------------------------------------------------------------------

class Comparer {
 public:
  explicit Comparer(const RuleParameters& p)
      : compare_(p.text("compare")),
        separator_(p.text("separator")),
        tolerance_(p.number("tolerance")),
        relative_(p.number("relative")),
        ignore_case_(p.text("case") == "ignore") {
    if (tolerance_ < 0 || relative_ < 0 || separator_.empty()) {
      throw UserError({.what = "bad comparison of reward rule 'custom'",
                       .expected = "tolerances of 0 or more, and a separator",
                       .found = {},
                       .hint = {}});
    }
  }

  // What is wrong with the golds; "" if they can be compared with.
  std::string fault(const std::vector<std::string>& golds) const {
    if (golds.empty()) return "the row has no gold";
    if (compare_ == "exact" && golds.size() != 1) return "the gold is a list";
    if (compare_ != "number") return "";
    return golds.size() == 1 && number_of(form(golds[0])) ? "" : "the gold is no number";
  }

  bool equal(const std::string& answer, const std::vector<std::string>& golds) const {
    if (compare_ == "number") return near(answer, golds[0]);
    if (compare_ == "set") return set_of({answer}) == set_of(golds);
    return std::any_of(golds.begin(), golds.end(),
                       [&](const std::string& gold) { return form(gold) == form(answer); });
  }

 private:
  std::string form(std::string_view text) const {
    const std::string spaced = with_single_spaces(text);
    return ignore_case_ ? lowered(spaced) : spaced;
  }

  bool near(const std::string& answer, const std::string& gold) const {
    const auto a = number_of(form(answer)), b = number_of(form(gold));
    return a && b && std::abs(*a - *b) <= std::max(tolerance_, relative_ * std::abs(*b));
  }

  // A single text is cut at separators; a list of a row, or of JSON, is its items.
  std::set<std::string> set_of(const std::vector<std::string>& texts) const {
    std::set<std::string> items;
    for (const std::string& text : texts) {
      for (std::string_view rest = text;;) {
        const size_t at = texts.size() == 1 ? rest.find(separator_) : std::string_view::npos;
        items.insert(form(rest.substr(0, at)));
        if (at == std::string_view::npos) break;
        rest.remove_prefix(at + separator_.size());
      }
    }
    return items;
  }

  std::string compare_, separator_;
  double tolerance_, relative_;
  bool ignore_case_;
};

class CustomRule final : public RewardRule {
 public:
  explicit CustomRule(const RuleParameters& p)
      : extractor_(p), comparer_(p), field_(p.text("field")) {}

  Verdict score(const RewardInput& input) const override {
    const std::vector<std::string> golds = golds_of(input);
    const std::string fault = comparer_.fault(golds);
    if (!fault.empty()) return verdict_bad_gold(fault);
    std::string reason;
    const std::optional<std::string> answer = extractor_.extract(input, reason);
    if (!answer) return verdict_no_answer(reason);
    if (trimmed(*answer).empty()) return verdict_no_answer("the answer is empty");
    if (comparer_.equal(*answer, golds)) return verdict_ok(*answer);
    return verdict_wrong(shortened(*answer), "not " + shortened(golds[0]));
  }

 private:
  // The items of a list; else one text. Empty if there is none that is not blank.
  std::vector<std::string> golds_of(const RewardInput& input) const {
    std::vector<std::string> golds;
    const JsonValue* value =
        input.row == nullptr ? nullptr : find_member(*input.row, field_.c_str());
    if (value != nullptr && value->IsArray()) {
      for (const JsonValue& item : value->GetArray()) golds.push_back(value_text(item));
    } else if (value != nullptr && field_ != "gold") {
      golds.push_back(value_text(*value));
    } else if (field_ == "gold") {
      golds.emplace_back(input.gold);
    }
    std::erase_if(golds, [](const std::string& gold) { return trimmed(gold).empty(); });
    return golds;
  }

  Extractor extractor_;
  Comparer comparer_;
  std::string field_;
};

}  // namespace

namespace {

// Null too where two members have the name: then the answer says two things.
const JsonValue* only_member(const JsonValue& object, const std::string& key) {
  if (!object.IsObject()) return nullptr;
  const JsonValue* found = nullptr;
  for (const auto& member : object.GetObject()) {
    if (key != std::string_view(member.name.GetString(), member.name.GetStringLength())) continue;
    if (found != nullptr) return nullptr;
    found = &member.value;
  }
  return found;
}

}  // namespace

const JsonValue* find_by_pointer(const JsonValue& root, std::string_view pointer) {
  const JsonValue* value = &root;
  while (!pointer.empty()) {
    if (pointer.front() != '/') return nullptr;
    pointer.remove_prefix(1);
    const size_t end = std::min(pointer.find('/'), pointer.size());
    std::string key;
    for (size_t i = 0; i < end; ++i) {
      const bool escape = pointer[i] == '~' && i + 1 < end;
      key += !escape ? pointer[i] : pointer[++i] == '1' ? '/' : '~';
    }
    pointer.remove_prefix(end);
    if (value->IsArray()) {
      const bool index = !key.empty() && key.size() < 10 &&
                         key.find_first_not_of("0123456789") == std::string::npos;
      if (!index || std::stoul(key) >= value->Size()) return nullptr;
      value = &(*value)[static_cast<unsigned>(std::stoul(key))];
    } else {
      value = only_member(*value, key);
    }
    if (value == nullptr) return nullptr;
  }
  return value;
}

RuleInfo custom_rule() {
  return {"custom",
          "a rule of your own: an answer is found in one way and compared in another: 1 or 0",
          {{"find", "answer", "what is judged", {"answer", "final", "all", "regex", "tag", "json"}},
           {"pattern", "", "find=regex: its first group, or all of the match"},
           {"which", "last", "find=regex: which match", {"last", "first", "only"}},
           {"tag", "", "find=tag: the name of the tag"},
           {"pointer", "", "find=json: where in the JSON: /answer, /steps/0"},
           {"compare", "exact", "how", {"exact", "number", "set", "one_of"}},
           {"field", "gold", "the row's field to compare with; may be a list"},
           {"tolerance", "0", "compare=number: the largest difference"},
           {"relative", "0", "compare=number: the largest difference as a part of the gold"},
           {"separator", ",", "compare=set: stands between the items of a text"},
           {"case", "keep", "whether capitals count", {"keep", "ignore"}}},
          [](const RuleParameters& parameters) -> std::unique_ptr<RewardRule> {
            return std::make_unique<CustomRule>(parameters);
          }};
}

}  // namespace temper
