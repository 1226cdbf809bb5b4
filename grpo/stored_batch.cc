#include "grpo/stored_batch.h"

#include "core/bytes.h"

namespace temper {
namespace {

constexpr uint32_t kFormat = 1;

void put(ByteWriter& out, const Verdict& v) {
  out.put(v.value);
  out.put(static_cast<uint8_t>(v.status));
  out.put_text(v.extracted);
  out.put_text(v.reason);
  out.put(v.microseconds);
}

void get(ByteReader& in, Verdict& v) {
  v.value = in.get<double>();
  const auto status = in.get<uint8_t>();
  if (status > static_cast<uint8_t>(VerdictStatus::not_asked)) in.fail("an unknown verdict");
  v.status = static_cast<VerdictStatus>(status);
  v.extracted = in.get_text();
  v.reason = in.get_text();
  v.microseconds = in.get<int64_t>();
}

void put(ByteWriter& out, const RewardResult& r) {
  out.put(r.value);
  out.put<uint8_t>(r.judged);
  out.put<uint64_t>(r.components.size());
  for (const ComponentVerdict& c : r.components) {
    out.put(c.weight);
    out.put<uint8_t>(c.counted);
    put(out, c.verdict);
  }
}

void get(ByteReader& in, RewardResult& r) {
  r.value = in.get<double>();
  r.judged = in.get<uint8_t>() != 0;
  r.components.resize(in.get_count(sizeof(double)));
  for (ComponentVerdict& c : r.components) {
    c.weight = in.get<double>();
    c.counted = in.get<uint8_t>() != 0;
    get(in, c.verdict);
  }
}

void put(ByteWriter& out, const SampleResult& s) {
  out.put_array(s.ids);
  out.put_array(s.logprobs);
  out.put_array(s.sampled_logprobs);
  out.put_array(s.entropies);
  out.put_array(s.kept.counts);
  out.put_array(s.kept.ids);
  out.put_array(s.experts.experts);
  out.put(s.experts.per_token);
  out.put(static_cast<uint8_t>(s.finish));
  out.put(s.first_token_seconds);
  out.put(s.seconds);
}

void get(ByteReader& in, SampleResult& s) {
  s.ids = in.get_array<int32_t>();
  s.logprobs = in.get_array<double>();
  s.sampled_logprobs = in.get_array<double>();
  s.entropies = in.get_array<double>();
  s.kept.counts = in.get_array<int32_t>();
  s.kept.ids = in.get_array<int32_t>();
  s.experts.experts = in.get_array<uint16_t>();
  s.experts.per_token = in.get<int64_t>();
  const auto finish = in.get<uint8_t>();
  if (finish > static_cast<uint8_t>(FinishReason::cancelled)) in.fail("an unknown end of a sample");
  s.finish = static_cast<FinishReason>(finish);
  s.first_token_seconds = in.get<double>();
  s.seconds = in.get<double>();
}

void put(ByteWriter& out, const GrpoGroup& group) {
  out.put<uint64_t>(group.prompt);
  out.put<uint8_t>(group.judged);
  out.put_text(group.dropped);
  out.put<uint64_t>(group.samples.size());
  for (const GrpoSample& s : group.samples) {
    put(out, s.rollout);
    out.put_text(s.text);
    put(out, s.reward);
  }
}

void get(ByteReader& in, GrpoGroup& group) {
  group.prompt = in.get<uint64_t>();
  group.judged = in.get<uint8_t>() != 0;
  group.dropped = in.get_text();
  group.samples.resize(in.get_count(sizeof(uint64_t)));
  for (GrpoSample& s : group.samples) {
    get(in, s.rollout);
    s.text = in.get_text();
    get(in, s.reward);
    s.total = s.reward.value;
  }
}

}  // namespace

std::string batch_to_bytes(const StepBatch& batch) {
  ByteWriter out;
  out.put(kFormat);
  out.put(batch.step);
  out.put(batch.policy_version);
  out.put(batch.generations);
  out.put(batch.prompts_drawn);
  out.put(batch.seconds);
  out.put<uint64_t>(batch.groups.size());
  for (const GrpoGroup& group : batch.groups) put(out, group);
  return out.bytes();
}

StepBatch batch_from_bytes(std::string_view bytes, const std::string& where) {
  ByteReader in(bytes, where);
  if (const auto format = in.get<uint32_t>(); format != kFormat)
    in.fail("format " + std::to_string(format));
  StepBatch batch;
  batch.step = in.get<int64_t>();
  batch.policy_version = in.get<int64_t>();
  batch.generations = in.get<int64_t>();
  batch.prompts_drawn = in.get<int64_t>();
  batch.seconds = in.get<double>();
  batch.groups.resize(in.get_count(sizeof(uint64_t)));
  for (GrpoGroup& group : batch.groups) get(in, group);
  in.finish();
  return batch;
}

}  // namespace temper
