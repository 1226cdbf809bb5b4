#include "data/chat_template.h"

#include <algorithm>

#include "core/did_you_mean.h"
#include "core/error.h"
#include "core/utf8.h"

namespace temper {
namespace {

const TemplateSpec& find_template(std::string_view id) {
  std::vector<std::string> ids;
  std::string listing;
  for (const TemplateSpec& spec : ChatTemplate::all()) {
    if (spec.id == id) return spec;
    ids.push_back(spec.id);
    listing += (listing.empty() ? "" : ", ") + spec.id;
  }
  throw UserError({.what = "unknown chat template",
                   .where = "--template",
                   .expected = "one of " + listing,
                   .found = std::string(id),
                   .hint = did_you_mean(id, ids)});
}

void replace_once(std::string& text, std::string_view name, const std::string& value) {
  const size_t at = text.find(name);
  if (at != std::string::npos) text.replace(at, name.size(), value);
}

// Without white space at both ends, as Jinja's trim.
std::string trimmed(const std::string& text) {
  size_t begin = text.size(), end = 0;
  for (size_t at = 0; at < text.size();) {
    const Utf8Step c = read_utf8(text, at);
    if (!is_unicode_space(c.code)) {
      begin = std::min(begin, at);
      end = at + c.length;
    }
    at += c.length;
  }
  return begin < end ? text.substr(begin, end - begin) : "";
}

bool is_role(const Message& message, std::string_view role) {
  return message.role == role;
}

}  // namespace

ChatTemplate::ChatTemplate(std::string_view id, const Tokenizer& tokenizer)
    : spec_(find_template(id)) {
  const std::string eos =
      tokenizer.eos_ids().empty() ? "" : tokenizer.token_text(tokenizer.eos_ids()[0]);
  replace_once(spec_.prefix, "{bos}",
               tokenizer.adds_bos() ? tokenizer.token_text(tokenizer.bos_id()) : "");
  replace_once(spec_.stop, "{eos}", eos);
  for (const std::string& token : spec_.needs) {
    if (tokenizer.token_id(token) >= 0) continue;
    throw UserError({.what = "the chat template '" + spec_.id + "' does not fit the tokenizer, " +
                             "which has no token " + token,
                     .where = tokenizer.path().string(),
                     .hint = "choose another with --template"});
  }
  stop_id_ = tokenizer.token_id(spec_.stop);
}

std::vector<Segment> ChatTemplate::render(const Conversation& messages,
                                          RenderOptions options) const {
  std::vector<Segment> out;
  const auto say = [&](const std::string& text) {
    if (!text.empty()) out.push_back({text, false});
  };
  const auto content = [&](const Message& message) {
    return spec_.trims ? trimmed(message.content) : message.content;
  };
  say(spec_.prefix);
  size_t last_user = 0;
  std::string systems;
  bool first_system = true;
  for (size_t i = 0; i < messages.size(); ++i) {
    if (is_role(messages[i], "user")) last_user = i;
    if (!is_role(messages[i], "system")) continue;
    systems += (first_system ? "" : "\n\n") + messages[i].content;
    first_system = false;
  }
  if (spec_.no_system && !first_system) {
    throw UserError({.what = "the chat template '" + spec_.id + "' has no system message",
                     .hint = "put its text in front of the question"});
  }
  if (spec_.systems_first) say(systems);
  const bool leads = !messages.empty() && is_role(messages[0], "system");
  if (!spec_.default_system.empty() && !leads) {
    say(spec_.system_begin + spec_.default_system + spec_.system_end);
  }
  for (size_t i = 0; i < messages.size(); ++i) {
    const Message& message = messages[i];
    if (is_role(message, "system")) {
      if (!spec_.systems_first) say(spec_.system_begin + content(message) + spec_.system_end);
    } else if (is_role(message, "user")) {
      say(spec_.user_begin + content(message) + spec_.user_end);
    } else if (is_role(message, "assistant")) {
      add_answer({message.role, content(message)}, i > last_user, options, out);
    } else {
      throw UserError({.what = "a message has a role that chat templates do not know",
                       .expected = "system, user or assistant",
                       .found = message.role});
    }
  }
  if (options.add_generation_prompt) say(spec_.generation);
  return out;
}

void ChatTemplate::add_answer(const Message& message, bool last, RenderOptions options,
                              std::vector<Segment>& out) const {
  static constexpr std::string_view kEnd = "</think>";
  std::string text = message.content;
  std::string begin = spec_.assistant_begin;
  bool loss = true;
  const size_t end = text.rfind(kEnd);
  if (spec_.drops_reasoning && options.training && last) {
    // What the generation prompt writes is not the model's own choice: no loss on it.
    const std::string given = spec_.generation.substr(spec_.assistant_begin.size());
    if (!given.empty() && text.starts_with(given)) {
      begin += given;
      text.erase(0, given.size());
    }
  } else if (spec_.drops_reasoning && end != std::string::npos) {
    text.erase(0, end + kEnd.size());
    loss = !options.training;
  }
  if (!begin.empty()) out.push_back({begin, false});
  out.push_back({text + spec_.stop, loss});
  if (!spec_.assistant_end.empty()) out.push_back({spec_.assistant_end, false});
}

std::string join_segments(const std::vector<Segment>& segments) {
  std::string text;
  for (const Segment& segment : segments) text += segment.text;
  return text;
}

Sample encode_segments(const Tokenizer& tokenizer, const std::vector<Segment>& segments) {
  std::string text;
  std::vector<size_t> ends;  // of the segments in `text`
  for (const Segment& segment : segments) {
    text += repair_utf8(segment.text);
    ends.push_back(text.size());
  }
  Encoding encoding = tokenizer.encode_with_ranges(text);
  Sample sample{std::move(encoding.ids), {}};
  sample.mask.reserve(sample.ids.size());
  size_t segment = 0;
  for (const TextRange range : encoding.ranges) {
    while (segment + 1 < segments.size() && range.begin >= ends[segment]) ++segment;
    sample.mask.push_back(segments[segment].loss ? 1 : 0);
  }
  if (!sample.mask.empty()) sample.mask[0] = 0;
  return sample;
}

}  // namespace temper
