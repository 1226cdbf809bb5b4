// Answers in words, and multiple choice.
#include <algorithm>
#include <cctype>
#include <iterator>
#include <numeric>
#include <utility>
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

// A time of day. `half` is 'a' or 'p' where the text says so, else '\0'.
struct ClockTime {
  int hours = -1, minutes = 0;
  char half = '\0';

  bool known() const { return hours >= 0; }
  // Minutes after midnight, if the text leaves no doubt: "4:30 p.m.", "16:30", "0:15".
  int minute_of_day() const {
    if (half == '\0') return hours > 12 || hours == 0 ? hours * 60 + minutes : -1;
    return (hours % 12 + (half == 'p' ? 12 : 0)) * 60 + minutes;
  }
};

// "4:30 p.m.", "4:30pm", "9 AM", "16:30".
ClockTime clock_time(const std::string& words) {
  std::string text;
  for (const char c : lowered(words)) {
    if (c != ' ' && c != '.' && c != '{' && c != '}') text += c;  // "5{:}30"
  }
  ClockTime time;
  for (const auto& [name, half] : {std::pair{"noon", "pm"}, std::pair{"midnight", "am"}}) {
    if (text == std::string("12:00") + name || text == std::string("12") + name) {
      text = std::string("12:00") + half;
    }
  }
  if (text.ends_with("am") || text.ends_with("pm")) {
    time.half = text[text.size() - 2];
    text.resize(text.size() - 2);
  }
  const size_t colon = text.find(':');
  const std::string hours = text.substr(0, colon);
  const std::string minutes = colon == std::string::npos ? "00" : text.substr(colon + 1);
  const auto is_number = [](const std::string& s) {
    return !s.empty() && s.size() <= 2 && s.find_first_not_of("0123456789") == std::string::npos;
  };
  if (!is_number(hours) || !is_number(minutes) || minutes.size() != 2) return {};
  if (colon == std::string::npos && time.half == '\0') return {};
  const int hour = std::stoi(hours), minute = std::stoi(minutes);
  if (hour > 24 || minute > 59) return {};
  if (time.half != '\0' && (hour > 12 || hour == 0)) return {};
  time.hours = hour;
  time.minutes = minute;
  return time;
}

// The half of the day may be left out; 17:00 is 5 p.m.
bool same_time(const std::string& gold, const std::string& answer) {
  const ClockTime a = clock_time(gold), b = clock_time(answer);
  if (!a.known() || !b.known()) return false;
  const int x = a.minute_of_day(), y = b.minute_of_day();
  if (x >= 0 && y >= 0) return x == y;
  return a.hours == b.hours && a.minutes == b.minutes;
}

// Without an article before a name of a thing: "an ellipse".
std::string without_article(const std::string& text) {
  for (const std::string_view article : {"a ", "an ", "the ", "A ", "An ", "The "}) {
    if (text.starts_with(article)) return text.substr(article.size());
  }
  return text;
}

// "East" for the gold "east": a capital at the beginning, as a sentence has one. A gold with one
// may be a name, which "evelyn" is not.
bool same_but_for_first_capital(const std::string& gold, std::string answer) {
  if (gold.size() < 2 || answer.empty() || gold[0] < 'a' || gold[0] > 'z') return false;
  answer[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(answer[0])));
  return answer == gold;
}

bool same_text(const std::string& whole_gold, const std::string& whole_answer) {
  const std::string gold = without_article(whole_gold), answer = without_article(whole_answer);
  if (gold.empty() || answer.empty()) return whole_gold == whole_answer;
  if (gold == answer || same_but_for_first_capital(gold, answer)) return true;
  const std::string lower = lowered(gold);
  return is_common_word(lower) && lower == lowered(answer);
}

}  // namespace

bool is_time(const std::string& words) {
  return clock_time(words).known();
}

bool is_only_a_time(const std::string& words) {
  const ClockTime time = clock_time(words);
  return time.known() && (time.half != '\0' || std::gcd(time.hours, time.minutes) != 1);
}

bool says_no_solution(const std::string& words) {
  const std::string lower = lowered(without_article(words));
  constexpr std::string_view kWords[] = {"no solution", "no solutions", "no real solution",
                                         "no real solutions", "empty set"};
  return std::find(std::begin(kWords), std::end(kWords), lower) != std::end(kWords);
}

char chosen_letter(const std::string& words, bool& alone) {
  std::string unmarked = words;  // **(B)** 12
  for (size_t at = unmarked.find("**"); at != std::string::npos; at = unmarked.find("**")) {
    unmarked.erase(at, 2);
  }
  std::string_view text = trimmed(unmarked);
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
  if (says_no_solution(gold) && says_no_solution(answer)) return true;
  bool gold_alone = false, answer_alone = false;
  const char letter = chosen_letter(gold, gold_alone);
  if (letter != '\0' && gold_alone) {
    if (chosen_letter(answer, answer_alone) == letter) return true;
    // "c" and "(c)" choose C where they stand alone; "a dog" does not choose A.
    std::string upper = answer;
    for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    return chosen_letter(upper, answer_alone) == letter && answer_alone;
  }
  const std::vector<std::string> items = items_of(gold);
  return items.size() > 1 && items == items_of(answer);
}

}  // namespace temper
