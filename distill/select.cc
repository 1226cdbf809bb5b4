#include "distill/select.h"

#include <algorithm>
#include <set>

#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "core/moment.h"
#include "data/store_blobs.h"
#include "reward/text.h"

namespace temper {
namespace {

struct StoredSample {
  int64_t id = 0;
  size_t prompt = 0;
  int64_t tokens = 0;
  bool truncated = false, judged = true, right = true;
  std::string completion;
  std::vector<int32_t> ids;
};

std::vector<StoredSample> read_stored(const SelectJob& job) {
  std::vector<StoredSample> samples;
  job.store.database().for_each_row(
      "SELECT s.id, s.step, s.group_index, s.tokens, s.truncated, s.reward IS NOT NULL,"
      " NOT EXISTS (SELECT 1 FROM rewards r WHERE r.sample_id = s.id AND r.weight <> 0"
      "   AND r.counted AND r.status <> 'ok'), s.completion, s.ids"
      " FROM samples s WHERE s.run_id = ? AND s.kind = ? ORDER BY s.step, s.group_index,"
      " s.sample_index",
      [&](Statement& row) {
        const int64_t prompt =
            (row.get<int64_t>(1) - 1) * job.prompts_per_step + row.get<int64_t>(2);
        samples.push_back({.id = row.get<int64_t>(0),
                           .prompt = static_cast<size_t>(prompt),
                           .tokens = row.get<int64_t>(3),
                           .truncated = row.get<bool>(4),
                           .judged = row.get<bool>(5),
                           .right = row.get<bool>(6),
                           .completion = row.get<std::string>(7),
                           .ids = from_blob<int32_t>(row.get<Blob>(8))});
      },
      job.run.run_id, job.run.kind);
  return samples;
}

std::string user_text(const Prompt& prompt) {
  for (const Message& message : prompt.messages)
    if (message.role == "user") return message.content;
  return prompt.text;
}

// The answer with the <think> that the prompt's template opened.
std::string whole_answer(const Prompt& prompt, const std::string& completion) {
  const bool opened = trimmed(prompt.text).ends_with("<think>");
  return opened && !completion.starts_with("<think>") ? "<think>\n" + completion : completion;
}

std::string messages_json(const Conversation& messages) {
  std::string text = "[";
  for (const Message& message : messages)
    text += std::string(text.size() > 1 ? "," : "") + "{\"role\":" + quote_json(message.role) +
            ",\"content\":" + quote_json(message.content) + "}";
  return text + "]";
}

std::string ids_json(const Prompt& prompt, const StoredSample& sample) {
  std::string ids, mask;
  const auto add = [&](int32_t id, bool learn) {
    ids += (ids.empty() ? "" : ",") + std::to_string(id);
    mask += std::string(mask.empty() ? "" : ",") + (learn ? "1" : "0");
  };
  for (const int32_t id : prompt.ids) add(id, false);
  for (const int32_t id : sample.ids) add(id, true);
  return "\"ids\":[" + ids + "],\"mask\":[" + mask + "]";
}

// The conversation without what only the teacher was told, and with what the form asks for.
Conversation conversation_of(const SelectJob& job, const Prompt& prompt, bool reflection,
                             const std::string& answer) {
  Conversation messages = prompt.messages;
  const std::string& told = job.options.teacher_system;
  if (!told.empty() && messages[0].role == "system" && messages[0].content == told)
    messages.erase(messages.begin());
  if (reflection) {
    const std::string& given = job.options.reflection_system;
    const std::string& asks = given.empty() ? reflection_prompt() : given;
    if (messages[0].role == "system") {
      messages[0].content += "\n\n" + asks;
    } else {
      messages.insert(messages.begin(), {"system", asks});
    }
  }
  messages.push_back({"assistant", answer});
  return messages;
}

std::string rows_of(const SelectJob& job, const StoredSample& sample) {
  const Prompt& prompt = job.prompts[sample.prompt];
  const std::string run = job.store.database().path().parent_path().string();
  const std::string tail = ",\"gold\":" + quote_json(prompt.gold) +
                           ",\"source\":{\"run\":" + quote_json(run) +
                           ",\"sample\":" + std::to_string(sample.id) + "}}\n";
  if (prompt.messages.empty()) return "{" + ids_json(prompt, sample) + tail;
  const std::string answer = whole_answer(prompt, sample.completion);
  std::string rows;
  for (const bool reflection : {false, true}) {
    if (job.options.form == (reflection ? SampleForm::plain : SampleForm::reflection)) continue;
    rows +=
        "{\"messages\":" + messages_json(conversation_of(job, prompt, reflection, answer)) + tail;
  }
  return rows;
}

void store_counts(StepWriter& writer, const FilterCounts& counts) {
  writer.add_metric("select/samples", static_cast<double>(counts.samples));
  writer.add_metric("select/kept", static_cast<double>(counts.kept));
  writer.add_metric("select/prompts", static_cast<double>(counts.prompts));
  writer.add_metric("select/prompts_kept", static_cast<double>(counts.prompts_kept));
  for (const std::string_view reason : SampleFilter::reasons()) {
    std::string name(reason);
    std::replace_if(
        name.begin(), name.end(), [](char c) { return c == ' ' || c == '-'; }, '_');
    const auto found = counts.dropped.find(reason);
    const int64_t count = found == counts.dropped.end() ? 0 : found->second;
    writer.add_metric("select/dropped/" + name, static_cast<double>(count));
  }
}

}  // namespace

const std::string& reflection_prompt() {
  static const std::string text =
      "Think the problem through step by step before you answer. Reflect on each step, check the "
      "result in a second way, and mend what proves wrong. Then give the final answer.";
  return text;
}

FilterCounts select_samples(const SelectJob& job) {
  reach_moment("filtering");
  const Contamination contamination = read_contamination(job.filters);
  SampleFilter filter(job.filters, contamination);
  FilterCounts counts;
  counts.prompts = static_cast<int64_t>(job.prompts.size());
  std::set<size_t> kept;
  std::string rows;
  StepWriter writer(job.store, {job.run.run_id, "select", 1}, 0);
  for (const StoredSample& sample : read_stored(job)) {
    require(sample.prompt < job.prompts.size(), "a stored sample of a prompt that is not there");
    const std::string question = user_text(job.prompts[sample.prompt]);
    const std::string_view reason = filter.reason({.prompt = static_cast<int64_t>(sample.prompt),
                                                   .question = question,
                                                   .completion = sample.completion,
                                                   .tokens = sample.tokens,
                                                   .judged = sample.judged,
                                                   .right = sample.right,
                                                   .truncated = sample.truncated});
    ++counts.samples;
    if (!reason.empty()) {
      ++counts.dropped[reason];
      job.store.database().execute("UPDATE samples SET dropped = ? WHERE id = ?", reason,
                                   sample.id);
      continue;
    }
    ++counts.kept;
    kept.insert(sample.prompt);
    rows += rows_of(job, sample);
  }
  counts.prompts_kept = static_cast<int64_t>(kept.size());
  if (counts.kept == 0)
    throw UserError({.what = "no sample is left to learn from\n" + counts.text(),
                     .where = job.store.database().path().string(),
                     .hint = "relax the filter that drops most, or take more --samples"});
  store_counts(writer, counts);
  write_file_atomically(job.file, rows);
  writer.commit({});
  return counts;
}

}  // namespace temper
