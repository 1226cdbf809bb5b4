// Answers in words, and multiple choice.
#include <algorithm>
#include <cctype>
#include <iterator>
#include <vector>

#include "reward/math/compare.h"
#include "reward/text.h"

namespace temper {
namespace {

bool is_choice(char c) {
  return c >= 'A' && c <= 'J';
}
bool is_letter(char c) {
  return std::isalpha(static_cast<unsigned char>(c)) != 0;
}

std::string lowered(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

// Words that carry no name, so that a capital means nothing.
bool is_common_word(const std::string& lower) {
  constexpr std::string_view kWords[] = {"yes",
                                         "no",
                                         "true",
                                         "false",
                                         "none",
                                         "even",
                                         "odd",
                                         "neither",
                                         "both",
                                         "undefined",
                                         "infinite",
                                         "no solution",
                                         "no solutions",
                                         "increasing",
                                         "decreasing",
                                         "positive",
                                         "negative",
                                         "parabola",
                                         "circle",
                                         "ellipse",
                                         "hyperbola",
                                         "line",
                                         "point",
                                         "convergent",
                                         "divergent",
                                         "does not exist",
                                         "diverges",
                                         "converges",
                                         "no real solutions",
                                         "all real numbers"};
  return std::find(std::begin(kWords), std::end(kWords), lower) != std::end(kWords);
}

// The items between commas, "and" and "or".
std::vector<std::string> items_of(const std::string& words) {
  std::vector<std::string> items;
  std::string text = words;
  for (const std::string_view joint : {" and ", " or "}) {
    for (size_t at = text.find(joint); at != std::string::npos; at = text.find(joint)) {
      text.replace(at, joint.size(), ",");
    }
  }
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    const std::string_view item = trimmed(std::string_view(text).substr(begin, end - begin));
    if (!item.empty()) items.emplace_back(item);
    begin = end + 1;
  }
  std::sort(items.begin(), items.end());
  return items;
}

// A time of day in minutes: "4:30 p.m.", "4:30pm", "9 AM"; -1 if the text is none. `half` is set to
// 'a' or 'p', or to '\0' where the text does not say.
int clock_minutes(const std::string& words, char& half) {
  std::string text;
  for (const char c : lowered(words)) {
    if (c != ' ' && c != '.') text += c;
  }
  half = '\0';
  if (text.ends_with("am") || text.ends_with("pm")) {
    half = text[text.size() - 2];
    text.resize(text.size() - 2);
  }
  const size_t colon = text.find(':');
  const std::string hours = text.substr(0, colon);
  const std::string minutes = colon == std::string::npos ? "00" : text.substr(colon + 1);
  const auto is_number = [](const std::string& s) {
    return !s.empty() && s.size() <= 2 && s.find_first_not_of("0123456789") == std::string::npos;
  };
  if (!is_number(hours) || !is_number(minutes) || minutes.size() != 2) return -1;
  if (colon == std::string::npos && half == '\0') return -1;
  return std::stoi(hours) * 60 + std::stoi(minutes);
}

bool same_time(const std::string& gold, const std::string& answer) {
  char gold_half = '\0', answer_half = '\0';
  const int a = clock_minutes(gold, gold_half), b = clock_minutes(answer, answer_half);
  const bool halves = gold_half == answer_half || gold_half == '\0' || answer_half == '\0';
  return a >= 0 && a == b && halves;
}

bool same_text(const std::string& gold, const std::string& answer) {
  if (gold == answer) return true;
  const std::string lower = lowered(gold);
  return is_common_word(lower) && lower == lowered(answer);
}

}  // namespace

bool is_time(const std::string& words) {
  char half = '\0';
  return clock_minutes(words, half) >= 0;
}

char chosen_letter(const std::string& words, bool& alone) {
  std::string_view text = trimmed(words);
  const bool bracket = text.starts_with('(');
  if (bracket) text = trimmed(text.substr(1));
  alone = false;
  if (text.empty() || !is_choice(text[0])) return '\0';
  const char letter = text[0];
  text = trimmed(text.substr(1));
  if (bracket) {
    if (!text.starts_with(')')) return '\0';
    text = trimmed(text.substr(1));
    if (text.starts_with('.') || text.starts_with(':')) text = trimmed(text.substr(1));
  } else if (!text.empty()) {
    if (text[0] != '.' && text[0] != ')' && text[0] != ':') return '\0';
    text = trimmed(text.substr(1));
  }
  alone = text.empty();
  for (size_t i = 0; i < text.size(); ++i) {  // "A) or B" chooses nothing
    const bool word =
        (i == 0 || !is_letter(text[i - 1])) && (i + 1 == text.size() || !is_letter(text[i + 1]));
    if (is_choice(text[i]) && word) return '\0';
  }
  return letter;
}

bool same_words(const std::string& gold, const std::string& answer) {
  if (gold.empty() || answer.empty()) return false;
  if (same_text(gold, answer) || same_time(gold, answer)) return true;
  bool gold_alone = false, answer_alone = false;
  const char letter = chosen_letter(gold, gold_alone);
  if (letter != '\0' && gold_alone) return chosen_letter(answer, answer_alone) == letter;
  const std::vector<std::string> items = items_of(gold);
  return items.size() > 1 && items == items_of(answer);
}

}  // namespace temper
