#include "core/device.h"
#include "model/checkpoint/hf_folder.h"
#include "model/checkpoint/stored_weights.h"
#include "model/checkpoint/transfer.h"

namespace temper {
namespace fs = std::filesystem;

OwnedWeights load_weights(Context& ctx, const fs::path& dir, ModelConfig& config, DType dtype,
                          std::vector<std::string>* warnings) {
  // All is compared before memory is taken for a model that is not there.
  const StoredWeights stored(dir, config, warnings);
  OwnedWeights weights = allocate_weights(config, dtype);
  const std::vector<PublishedTensor> targets = published_tensors(weights.view, config);
  ctx.pool.parallel_for(static_cast<int64_t>(targets.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Tensor& target = targets[static_cast<size_t>(i)].part;
      stored.read(static_cast<size_t>(i), {0, target.rows()}, target.data, target.dtype);
    }
  });
  return weights;
}

LoadedModel load_model(Context& ctx, const fs::path& dir, DType dtype) {
  LoadedModel model;
  model.config = read_model_config(dir);
  if (ctx.device == Device::cpu) {
    model.weights = load_weights(ctx, dir, model.config, dtype, &model.warnings);
    return model;
  }
  const OwnedWeights host =
      load_weights(ctx, dir, model.config, stat_dtype(dtype), &model.warnings);
  model.weights = weights_on_device(ctx, host, model.config, dtype);
  return model;
}

}  // namespace temper
