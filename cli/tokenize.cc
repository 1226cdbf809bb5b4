// temper tokenize: text, conversations and training rows as token ids, and what the loss counts.
#include <cstdio>
#include <memory>

#include "cli/jsonl.h"
#include "cli/subcommands.h"
#include "core/error.h"
#include "core/utf8.h"
#include "data/chat_template.h"
#include "data/dataset.h"
#include "data/jsonl.h"
#include "data/row_fields.h"
#include "data/tokenizer.h"

namespace temper {
namespace {

struct TokenizeOptions {
  std::string model, file, messages, data, text;
  std::string chat_template;
  std::string out = "-";
  bool add_special = false;
  bool explain = false;
  int64_t limit = 0;
};

OptionsTable tokenize_table(TokenizeOptions& o) {
  OptionsTable table;
  table.group("Input (one of)");
  table.add("text", &o.text, "this text").value_name("TEXT");
  table.add("file", &o.file, "rows {\"text\":...}; writes {\"text\":...,\"ids\":[...]}")
      .value_name("FILE");
  table
      .add("messages", &o.messages,
           "rows {\"messages\":[...],\"add_generation_prompt\":false}; writes {\"ids\":[...]}")
      .value_name("FILE");
  table.add("data", &o.data, "rows as `sft` takes them; writes {\"ids\":[...],\"mask\":[...]}")
      .value_name("FILE");
  table.add("limit", &o.limit, "read only the first rows; 0 reads all").at_least(0).unit("rows");
  table.group("Tokens");
  table.add("model", &o.model, "folder with tokenizer.json").value_name("DIR").required();
  table
      .add("template", &o.chat_template,
           "chat template; empty: the one that fits the model's own (see docs/formats.md)")
      .value_name("ID");
  table.add("add-special", &o.add_special,
            "put BOS and what else the tokenizer adds around --text and --file");
  table.group("Output");
  table.add("out", &o.out, "file to write; - is the standard output").value_name("FILE");
  table.add("explain", &o.explain,
            "for people: each token with its id, its text, and whether the loss counts it");
  return table;
}

std::string ids_json(const std::vector<int32_t>& ids) {
  std::string text = "[";
  for (size_t i = 0; i < ids.size(); ++i) text += (i == 0 ? "" : ",") + std::to_string(ids[i]);
  return text + "]";
}

// The token's bytes in quotes; bytes that are no whole character as \xHH.
std::string shown_bytes(std::string_view bytes) {
  std::string text;
  for (size_t at = 0; at < bytes.size();) {
    const Utf8Step step = read_utf8(bytes, at);
    if (step.valid) {
      const std::string quoted = quote_json(bytes.substr(at, step.length));
      text += quoted.substr(1, quoted.size() - 2);
    } else {
      for (uint32_t i = 0; i < step.length; ++i) {
        char hex[8];
        std::snprintf(hex, sizeof(hex), "\\x%02X", static_cast<unsigned char>(bytes[at + i]));
        text += hex;
      }
    }
    at += step.length;
  }
  return "\"" + text + "\"";
}

std::string explain(const Tokenizer& tokenizer, const Sample& sample) {
  std::string text = "position       id  loss  text\n";
  for (size_t i = 0; i < sample.ids.size(); ++i) {
    const int32_t id = sample.ids[i];
    char line[64];
    std::snprintf(line, sizeof(line), "%8zu %8d  %-4s  ", i, id, sample.mask[i] ? "loss" : "-");
    text += line + shown_bytes(tokenizer.bytes(id)) + (tokenizer.is_special(id) ? "  special" : "");
    text += '\n';
  }
  return text + std::to_string(sample.ids.size()) + " tokens, " + std::to_string(sample.targets()) +
         " with loss\n";
}

std::string text_field(const JsonValue& row, const std::string& where) {
  const JsonValue* text = find_member(row, "text");
  if (text == nullptr || !text->IsString()) {
    throw UserError({.what = "the row has no text",
                     .where = where,
                     .expected = "{\"text\":\"...\"}",
                     .found = to_text(row).substr(0, 80)});
  }
  return value_text(*text);
}

// One kind of input: what becomes of a row.
class RowTokenizer {
 public:
  RowTokenizer(const TokenizeOptions& options, const Tokenizer& tokenizer)
      : options_(options), tokenizer_(tokenizer) {
    const bool chats = !options.messages.empty() || !options.data.empty();
    if (chats) {
      chat_ =
          std::make_unique<ChatTemplate>(ChatTemplate::choose(options.chat_template, tokenizer));
    }
  }

  std::string of_text(const std::string& text) const {
    const Sample sample = plain(text);
    if (options_.explain) return explain(tokenizer_, sample);
    return "{\"text\":" + quote_json(text) + ",\"ids\":" + ids_json(sample.ids) + "}\n";
  }
  std::string of_messages(const JsonValue& row, const std::string& where) const {
    const JsonValue* prompt = find_member(row, "add_generation_prompt");
    const bool add = prompt != nullptr && prompt->IsBool() && prompt->GetBool();
    const Sample sample = encode_segments(
        tokenizer_, chat_->render(read_messages(row, where), {.add_generation_prompt = add}));
    if (options_.explain) return explain(tokenizer_, sample);
    return "{\"ids\":" + ids_json(sample.ids) + "}\n";
  }
  std::string of_data(const JsonValue& row, const std::string& where) const {
    const Sample sample = SftRowReader(&tokenizer_, chat_.get()).read(row, where);
    if (options_.explain) return explain(tokenizer_, sample);
    return "{\"ids\":" + ids_json(sample.ids) +
           ",\"mask\":" + ids_json({sample.mask.begin(), sample.mask.end()}) + "}\n";
  }

 private:
  Sample plain(const std::string& text) const {
    Sample sample;
    sample.ids = tokenizer_.encode(text, {.add_special = options_.add_special});
    sample.mask.assign(sample.ids.size(), 0);
    return sample;
  }

  const TokenizeOptions& options_;
  const Tokenizer& tokenizer_;
  std::unique_ptr<ChatTemplate> chat_;
};

int tokenize(const TokenizeOptions& o, Invocation& cli) {
  const bool inputs[] = {!o.text.empty(), !o.file.empty(), !o.messages.empty(), !o.data.empty()};
  if (inputs[0] + inputs[1] + inputs[2] + inputs[3] != 1) {
    throw UserError({.what = "tokenize takes exactly one input",
                     .expected = "one of --text, --file, --messages, --data"});
  }
  const Tokenizer tokenizer(o.model);
  const RowTokenizer rows(o, tokenizer);
  if (!o.text.empty()) {
    write_result(o.out, rows.of_text(o.text), cli.out);
    return 0;
  }
  std::string text;
  JsonlReader reader(!o.file.empty() ? o.file : !o.messages.empty() ? o.messages : o.data);
  for (int64_t count = 0; (o.limit == 0 || count < o.limit) && reader.next(); ++count) {
    if (o.explain) text += (count == 0 ? "" : "\n") + reader.where() + "\n";
    if (!o.file.empty()) {
      text += rows.of_text(text_field(reader.row(), reader.where()));
    } else if (!o.messages.empty()) {
      text += rows.of_messages(reader.row(), reader.where());
    } else {
      text += rows.of_data(reader.row(), reader.where());
    }
  }
  write_result(o.out, text, cli.out);
  return 0;
}

}  // namespace

void add_tokenize(Subcommands& list) {
  auto options = std::make_shared<TokenizeOptions>();
  list.add({.name = "tokenize",
            .about = "text and conversations as token ids; --explain shows text, ids and loss",
            .examples = "  temper tokenize --model DIR --text 'Hello!' --explain\n"
                        "  temper tokenize --model DIR --file texts.jsonl --out ids.jsonl\n"
                        "  temper tokenize --model DIR --data train.jsonl --explain --limit 2\n",
            .options = tokenize_table(*options),
            .run = [options](Invocation& cli) { return tokenize(*options, cli); }});
}

}  // namespace temper
