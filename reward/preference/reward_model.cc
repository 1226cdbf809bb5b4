#include "reward/preference/reward_model.h"

#include <cstring>
#include <map>

#include "core/device.h"
#include "core/error.h"
#include "model/checkpoint/transfer.h"

namespace temper {
namespace {

// The tensors that both models have, from one to the other, on the host.
void copy_trunk(OwnedWeights& from, const ModelConfig& from_config, OwnedWeights& to,
                const ModelConfig& to_config) {
  std::map<std::string, const Tensor*> known;
  const std::vector<NamedTensor> sources = tensors_of(from.view, from_config);
  for (const NamedTensor& t : sources) known[t.name] = t.tensor;
  for (const NamedTensor& t : tensors_of(to.view, to_config)) {
    const auto found = known.find(t.name);
    if (found == known.end()) continue;  // the new head
    require(same_shape(*found->second, *t.tensor), "trunks of one shape");
    std::memcpy(t.tensor->data, found->second->data,
                static_cast<size_t>(t.tensor->numel()) * size_of(t.tensor->dtype));
  }
}

}  // namespace

ModelConfig reward_model_config(const ModelConfig& config) {
  ModelConfig out = config;
  out.num_labels = 1;
  out.num_nextn_predict_layers = 0;
  return out;
}

LoadedRewardModel load_reward_trunk(Context& ctx, const std::filesystem::path& dir, DType dtype) {
  const ModelConfig stored = read_model_config(dir);
  if (stored.num_labels > 0) return {load_model(ctx, dir, dtype), false};
  LoadedRewardModel out{.model = {}, .is_new = true};
  ModelConfig config = stored;
  const DType wide = stat_dtype(dtype);
  OwnedWeights trunk = load_weights(ctx, dir, config, wide, &out.model.warnings);
  out.model.config = reward_model_config(config);
  OwnedWeights weights = allocate_weights(out.model.config, wide);
  copy_trunk(trunk, config, weights, out.model.config);
  out.model.weights = ctx.device == Device::cpu
                          ? std::move(weights)
                          : weights_on_device(ctx, weights, out.model.config, dtype);
  return out;
}

void refuse_language_model(const std::filesystem::path& dir) {
  throw UserError({.what = "not a reward model: it has no scalar head",
                   .where = dir.string(),
                   .expected = "a folder of \"...ForSequenceClassification\" with one label",
                   .hint = "temper reward-model trains one from this model"});
}

LoadedModel load_reward_model(Context& ctx, const std::filesystem::path& dir, DType dtype) {
  if (read_model_config(dir).num_labels == 0) refuse_language_model(dir);
  return load_model(ctx, dir, dtype);
}

}  // namespace temper
