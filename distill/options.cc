#include "distill/options.h"

#include <filesystem>

#include "core/error.h"
#include "data/mixture.h"

namespace temper {
namespace {

void add_input_options(OptionsTable& table, TeachOptions& o) {
  table
      .add("teacher", &o.teacher,
           "checkpoint folder, JSON file of recorded traces, or the URL of an OpenAI-compatible "
           "server (http://host:8000/v1)")
      .value_name("TEACHER")
      .required();
  table
      .add("data", &o.data,
           "prompts with gold answers; may be given several times; traces bring their own")
      .value_name("FILE");
  table.add("out", &o.out, "run directory").value_name("DIR").required();
  table.add("reward", &o.reward, "which answers are right: every rule with a weight must say ok")
      .value_name("SPEC");
  table.add("reward-timeout", &o.reward_timeout, "a sample that takes longer counts as not judged")
      .unit("seconds")
      .above(0);
  table.add("template", &o.chat_template, "chat template of the prompts; else the model's own")
      .value_name("NAME");
  table.add("system", &o.system, "a system message for the teacher, for rows without one");
  table.add("suffix", &o.suffix, "put behind each question as it stands: begin it with a space");
  table.add("limit", &o.limit, "read at most so many prompts; 0: all").at_least(0);
  table.add("max-prompt-tokens", &o.max_prompt_tokens, "leave longer prompts out; 0: none")
      .at_least(0);
}

void add_teacher_options(OptionsTable& table, TeachOptions& o) {
  table.group("Teacher");
  table.add("samples", &o.samples, "answers to each prompt").at_least(1);
  table.add("temperature", &o.sampling.temperature, "0 takes the likeliest token").at_least(0);
  table.add("top-p", &o.sampling.top_p, "nucleus sampling; 1: off").range(0, 1).above(0);
  table.add("top-k", &o.sampling.top_k, "sample among the k likeliest; 0: off").at_least(0);
  table.add("max-new-tokens", &o.max_new_tokens, "longest answer").unit("tokens").at_least(1);
  table.add("stop", &o.stop, "text that ends an answer; may be given several times");
  table.add("prompts-per-step", &o.prompts_per_step, "asked and committed together").at_least(1);
  table.add("batch", &o.batch, "samples decoded together").range(1, 4096);
  table.add("cache-memory", &o.cache_memory, "their cache grows up to this")
      .unit("MiB")
      .range(1, 1 << 30);
  table.group("Teacher behind a server");
  table.add("server-model", &o.server_model, "the model's name on the server").value_name("NAME");
  table
      .add("api-key-env", &o.api_key_env,
           "environment variable whose value is sent as the bearer token")
      .value_name("VARIABLE");
  table.add("connections", &o.connections, "requests under way together").range(1, 1024);
  table.add("retries", &o.retries, "of a request that failed").range(0, 20);
  table.add("timeout", &o.timeout, "for one request").unit("seconds").above(0);
}

void add_form_options(OptionsTable& table, TeachOptions& o) {
  add_filter_options(table, o.filters);
  table.group("Samples");
  table.add_choice("form", &o.select.form,
                   {{"plain", SampleForm::plain},
                    {"reflection", SampleForm::reflection},
                    {"both", SampleForm::both}},
                   "problem and response, with a system message that asks for reflection, or a row "
                   "of each (DeepSeek-V3)");
  table
      .add("reflection-system", &o.select.reflection_system,
           "that system message; else one of Temper's")
      .value_name("TEXT");
}

void check_data(const TeachOptions& o) {
  if (o.data.empty() && o.source() != TeachOptions::Source::traces)
    throw UserError({.what = "there is no prompt to answer",
                     .where = "--data",
                     .expected = "a file of prompts; only recorded traces bring their own"});
}

// Texts are filtered by a reward; only the student's own answers need none.
void check_reward(const TeachOptions& o) {
  if (o.reward.empty())
    throw UserError({.what = "nothing says which answers are right",
                     .where = "--reward",
                     .expected = "rules and weights, for instance math=1,format=0.2"});
}

}  // namespace

TeachOptions::Source TeachOptions::source() const {
  if (teacher.starts_with("http://") || teacher.starts_with("https://")) return Source::server;
  if (std::filesystem::is_directory(teacher)) return Source::checkpoint;
  if (std::filesystem::is_regular_file(teacher)) return Source::traces;
  throw UserError(
      {.what = "the teacher does not exist",
       .where = "--teacher " + teacher,
       .expected = "a checkpoint folder, a JSON file, or a URL with http:// or https://"});
}

OptionsTable rejection_options(TeachOptions& o, int64_t& seed, DType& dtype) {
  OptionsTable table;
  table.group("Input and output");
  add_input_options(table, o);
  table.add("resume", &o.resume, "go on with the run in --out, behind its last step");
  add_teacher_options(table, o);
  add_form_options(table, o);
  table.group("Random numbers and precision");
  table.add("seed", &seed, "of the random numbers").at_least(0);
  add_dtype_option(table, &dtype);
  return table;
}

OptionsTable distill_options(DistillOptions& o) {
  OptionsTable table;
  table.group("Input and output");
  table.add("student", &o.student, "checkpoint folder of the model that learns")
      .value_name("DIR")
      .required();
  add_input_options(table, o.teach);
  table.group("Loss");
  table.add_choice("loss", &o.loss,
                   {{"sft", DistillLoss::sft},
                    {"forward-kl", DistillLoss::forward_kl},
                    {"reverse-kl", DistillLoss::reverse_kl}},
                   "the teacher's texts, or the distance between both models' distributions, which "
                   "needs a teacher's checkpoint with the same tokenizer");
  table.add("on-policy", &o.on_policy,
            "with a KL: train on what the student itself answers to the prompts");
  table.add("kl-temperature", &o.kl_temperature, "of both distributions").above(0);
  table
      .add("mix", &o.mix,
           "other training data of the student with its share of an epoch (general.jsonl:0.2); the "
           "teacher's samples get the rest; may be given several times")
      .value_name("FILE:SHARE");
  add_teacher_options(table, o.teach);
  add_form_options(table, o.teach);
  add_supervised_options(table, o.train);
  add_resume_options(table, o.train.training);
  return table;
}

void check_teach_options(const TeachOptions& o) {
  check_data(o);
  check_reward(o);
}

void check_distill_options(const DistillOptions& o) {
  check_data(o.teach);
  if (!o.on_policy) check_reward(o.teach);
  const bool by_logits = o.loss != DistillLoss::sft;
  if (by_logits && o.teach.source() != TeachOptions::Source::checkpoint)
    throw UserError({.what = "only a checkpoint gives whole distributions",
                     .where = "--loss",
                     .found = "--teacher " + o.teach.teacher,
                     .hint = "give a checkpoint folder, or --loss sft"});
  if (o.on_policy && !by_logits)
    throw UserError({.what = "the student's own answers teach nothing without the teacher's view",
                     .where = "--on-policy",
                     .hint = "add --loss reverse-kl (or forward-kl)"});
}

std::vector<std::string> student_data(const DistillOptions& o, const std::string& samples) {
  if (o.mix.empty()) return {samples};
  double rest = 1.0;
  for (const WeightedFile& file : parse_weighted_files(o.mix, "--mix")) rest -= file.weight;
  if (rest >= 1.0 || rest <= 0.0)
    throw UserError({.what = "the shares of other data leave none, or all, for the teacher's",
                     .where = "--mix",
                     .expected = "FILE:SHARE with shares above 0 that sum to less than 1",
                     .found = option_text(1.0 - rest)});
  std::vector<std::string> files{samples + ":" + option_text(rest)};
  files.insert(files.end(), o.mix.begin(), o.mix.end());
  return files;
}

}  // namespace temper
