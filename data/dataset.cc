#include "data/dataset.h"

#include <algorithm>
#include <cstdio>

#include "core/error.h"
#include "data/jsonl.h"
#include "data/packing.h"
#include "data/row_fields.h"

namespace temper {
namespace {

constexpr int64_t kSplitEpoch = 0xFFFFFFFF;  // no epoch comes this far

std::string short_count(int64_t n) {
  if (n < 100000) return std::to_string(n);
  char text[32];
  std::snprintf(text, sizeof(text), n < 10000000 ? "%.2fM" : "%.1fM", static_cast<double>(n) / 1e6);
  return text;
}

Sample read_ids(const JsonValue& row, int64_t vocab_size, const std::string& where) {
  Sample sample{read_id_list(row, "ids", vocab_size, where), {}};
  if (find_member(row, "mask") == nullptr) {
    sample.mask.assign(sample.ids.size(), 1);
  } else {
    const std::vector<int32_t> mask = read_id_list(row, "mask", 2, where);
    if (mask.size() != sample.ids.size()) {
      throw UserError({.what = "\"mask\" is not as long as \"ids\"",
                       .where = where,
                       .expected = std::to_string(sample.ids.size()),
                       .found = std::to_string(mask.size())});
    }
    sample.mask.assign(mask.begin(), mask.end());
  }
  if (!sample.mask.empty()) sample.mask[0] = 0;
  return sample;
}

// The users' and assistants' turns of a row that is not ids. A prompt may be a list of messages.
Conversation conversation_of(const JsonValue& row, const std::string& where) {
  if (find_member(row, "messages") != nullptr) return read_messages(row, where);
  const JsonValue* question = find_question(row);
  const JsonValue* completion = find_completion(row);
  if (question == nullptr || completion == nullptr || !question->IsString() ||
      !completion->IsString()) {
    throw UserError({.what = "the row is nothing to train on",
                     .where = where,
                     .expected = "\"messages\", or \"prompt\" and \"completion\", or \"ids\"",
                     .found = to_text(row).substr(0, 80)});
  }
  return {{"user", value_text(*question)}, {"assistant", value_text(*completion)}};
}

}  // namespace

std::string SftCounts::summary() const {
  return short_count(rows) + " rows, " + short_count(kept) + " samples, " + short_count(tokens) +
         " tokens (" + short_count(targets) + " with loss)";
}

std::string SftCounts::warnings() const {
  std::string text;
  const auto say = [&](int64_t n, const std::string& what) {
    if (n > 0)
      text += (text.empty() ? "" : "\n") + std::to_string(n) + " of " + std::to_string(rows) +
              " rows " + what;
  };
  say(truncated, "were longer than the limit and are cut");
  say(dropped, "were longer than the limit and are left out");
  say(empty_mask, "have no token with loss and are left out");
  return text;
}

std::vector<Segment> SftRowReader::render(const JsonValue& row, const std::string& where) const {
  if (chat_ == nullptr) {
    throw UserError({.what = "the row has no `ids`, and the model folder has no tokenizer for text",
                     .where = where,
                     .expected = "{\"ids\":[...]}"});
  }
  try {
    return chat_->render(conversation_of(row, where), {.training = true});
  } catch (const UserError& error) {
    if (!error.blame().where.empty()) throw;
    Blame blame = error.blame();  // the template does not know the line
    blame.where = where;
    throw UserError(blame);
  }
}

Sample SftRowReader::read(const JsonValue& row, const std::string& where) const {
  if (find_member(row, "ids") != nullptr) return read_ids(row, vocab_size_, where);
  const std::vector<Segment> segments = render(row, where);  // throws without a tokenizer
  return encode_segments(*tokenizer_, segments);
}

SftData read_sft_data(const std::vector<std::filesystem::path>& files, const SftRowReader& reader,
                      const SftDataOptions& options) {
  SftData data;
  SftCounts& counts = data.counts;
  for (const std::filesystem::path& file : files) {
    JsonlReader rows(file);
    while (rows.next()) {
      ++counts.rows;
      Sample sample = reader.read(rows.row(), rows.where());
      const auto length = static_cast<int64_t>(sample.ids.size());
      bool cut = false;
      if (options.max_tokens > 0 && length > options.max_tokens) {
        if (options.long_rows == LongRows::refuse) {
          throw UserError({.what = "the row has too many tokens",
                           .where = rows.where(),
                           .expected = "at most " + std::to_string(options.max_tokens),
                           .found = std::to_string(length)});
        }
        if (options.long_rows == LongRows::drop) {
          ++counts.dropped;
          continue;
        }
        sample.ids.resize(static_cast<size_t>(options.max_tokens));
        sample.mask.resize(static_cast<size_t>(options.max_tokens));
        cut = true;
      }
      const int64_t targets = sample.targets();
      if (targets == 0) {
        ++counts.empty_mask;
        continue;
      }
      counts.truncated += cut;
      counts.tokens += static_cast<int64_t>(sample.ids.size());
      counts.targets += targets;
      data.samples.push_back(std::move(sample));
    }
  }
  counts.kept = static_cast<int64_t>(data.samples.size());
  if (data.samples.empty()) {
    throw UserError({.what = "the data has no sample to train on",
                     .where = files.empty() ? "" : files[0].string(),
                     .found = std::to_string(counts.rows) + " rows",
                     .hint = counts.rows == 0
                                 ? "give a file with a row a line, such as {\"prompt\":...,"
                                   "\"completion\":...}"
                                 : counts.warnings()});
  }
  return data;
}

HeldOutSplit split_held_out(size_t count, size_t held_out, uint64_t seed) {
  const std::vector<int64_t> order = shuffled_order(static_cast<int64_t>(count), seed, kSplitEpoch);
  const auto cut = order.begin() + static_cast<std::ptrdiff_t>(std::min(held_out, count));
  HeldOutSplit split{{cut, order.end()}, {order.begin(), cut}};
  std::sort(split.train.begin(), split.train.end());
  std::sort(split.held_out.begin(), split.held_out.end());
  return split;
}

}  // namespace temper
