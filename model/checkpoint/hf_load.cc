#include <set>

#include "core/json_fields.h"
#include "model/checkpoint/elements.h"
#include "model/checkpoint/hf_folder.h"
#include "model/checkpoint/hf_names.h"
#include "model/checkpoint/shards.h"

namespace temper {
namespace fs = std::filesystem;
namespace {

// One tensor to be filled, and from what.
struct Job {
  Tensor target;
  const StoredTensor* stored;
  const StoredTensor* scale;  // of FP8, else nullptr
  Fp8Blocks blocks;
};

std::vector<int64_t> dims_of(const Tensor& tensor) {
  return {tensor.shape.begin(), tensor.shape.begin() + tensor.rank};
}

// Compares what the config asks for with what the files hold, and collects every difference.
class Matcher {
 public:
  Matcher(const fs::path& dir, const ModelConfig& config)
      : dir_(dir), config_(config), shards_(dir) {
    read_block_size();
  }

  // Lowers the number of MTP modules to those of which the files hold anything at all.
  static void drop_absent_mtp(const Shards& shards, ModelConfig& config,
                              std::vector<std::string>* warnings) {
    int64_t present = config.num_hidden_layers;
    for (const std::string& name : shards.names()) present = std::max(present, layer_of(name) + 1);
    const int64_t modules =
        std::min(config.num_nextn_predict_layers, present - config.num_hidden_layers);
    if (modules == config.num_nextn_predict_layers) return;
    if (warnings != nullptr)
      warnings->push_back("config.json says num_nextn_predict_layers " +
                          std::to_string(config.num_nextn_predict_layers) +
                          ", but the files hold " + std::to_string(modules) +
                          " MTP modules: loaded without the others");
    config.num_nextn_predict_layers = modules;
  }

  std::vector<Job> match(ModelWeights& weights) {
    std::vector<Job> jobs;
    for (const PublishedTensor& wanted : published_tensors(weights, config_)) {
      used_.insert(wanted.name);
      const StoredTensor* stored = shards_.find(wanted.name);
      if (stored == nullptr)
        problems_.push_back(wanted.name + ": missing");
      else if (stored->shape != dims_of(wanted.part) && !stored->dtype.empty())
        problems_.push_back(wanted.name + ": wrong shape " + shape_text(stored->shape) +
                            ", config.json asks for " + shape_text(dims_of(wanted.part)));
      else if (stored->data != nullptr || stored->bytes == 0)
        add_job(wanted, *stored, jobs);
    }
    for (const std::string& name : shards_.names())
      if (!used_.contains(name) && !is_redundant(name, config_))
        problems_.push_back(name + ": unexpected, config.json has no place for it");
    return jobs;
  }

  void check() const {
    std::vector<std::string> all = shards_.problems();
    all.insert(all.end(), problems_.begin(), problems_.end());
    if (all.empty()) return;
    std::string list;
    for (const std::string& problem : all) list += "\n    " + problem;
    throw UserError({.what = "the weights do not fit config.json: " + std::to_string(all.size()) +
                             (all.size() == 1 ? " problem" : " problems"),
                     .where = dir_.string(),
                     .found = list,
                     .hint = "download or copy the files again, or correct config.json"});
  }

  const Shards& shards() const { return shards_; }

 private:
  void add_job(const PublishedTensor& wanted, const StoredTensor& stored, std::vector<Job>& jobs) {
    const std::optional<DType> dtype = safetensors_dtype(stored.dtype);
    if (!dtype || !is_float(*dtype)) {
      problems_.push_back(wanted.name + ": dtype " + stored.dtype +
                          " is not one of F32, F16, BF16, F64, F8_E4M3");
      return;
    }
    Job job{.target = wanted.part, .stored = &stored, .scale = nullptr, .blocks = {}};
    if (*dtype == DType::f8_e4m3 && !find_scale(wanted, job)) return;
    jobs.push_back(job);
  }

  bool find_scale(const PublishedTensor& wanted, Job& job) {
    const std::string name = scale_name(wanted.name);
    used_.insert(name);
    job.scale = shards_.find(name);
    if (job.scale == nullptr) {
      problems_.push_back(name + ": missing, but " + wanted.name + " is F8_E4M3");
      return false;
    }
    job.blocks = {wanted.part.rows(), wanted.part.cols(), block_rows_, block_cols_};
    const std::vector<int64_t> shape = {job.blocks.scale_rows(), job.blocks.scale_cols()};
    if (job.scale->shape != shape || wanted.part.rank != 2) {
      problems_.push_back(name + ": wrong shape " + shape_text(job.scale->shape) + ", blocks of " +
                          shape_text({block_rows_, block_cols_}) + " ask for " + shape_text(shape));
      return false;
    }
    const std::optional<DType> dtype = safetensors_dtype(job.scale->dtype);
    if (dtype && is_float(*dtype)) return job.scale->data != nullptr;
    problems_.push_back(name + ": dtype " + job.scale->dtype + " is not a float");
    return false;
  }

  void read_block_size() {
    const fs::path path = dir_ / "config.json";
    if (!fs::exists(path)) return;
    const Json json = parse_json(read_file(path), path.string());
    const JsonFields fields(json, path.string());
    if (!fields.has("quantization_config")) return;
    const JsonFields quantization = fields.object("quantization_config");
    const std::vector<int64_t> size = quantization.integers_or_none("weight_block_size", 1);
    if (size.empty()) return;
    if (size.size() != 2) quantization.fail("weight_block_size", "two integers");
    block_rows_ = size[0];
    block_cols_ = size[1];
  }

  const fs::path& dir_;
  const ModelConfig& config_;
  Shards shards_;
  int64_t block_rows_ = 128, block_cols_ = 128;
  std::set<std::string> used_;
  std::vector<std::string> problems_;
};

void run_job(const Job& job) {
  const std::optional<DType> from = safetensors_dtype(job.stored->dtype);
  if (job.scale == nullptr) {
    convert_elements(job.stored->data, *from, job.target.data, job.target.dtype,
                     job.target.numel());
    return;
  }
  std::vector<float> scales(static_cast<size_t>(job.blocks.scale_rows() * job.blocks.scale_cols()));
  convert_elements(job.scale->data, *safetensors_dtype(job.scale->dtype), scales.data(), DType::f32,
                   static_cast<int64_t>(scales.size()));
  dequantize_fp8(job.blocks, reinterpret_cast<const uint8_t*>(job.stored->data), scales.data(),
                 job.target.data, job.target.dtype);
}

}  // namespace

OwnedWeights load_weights(Context& ctx, const fs::path& dir, ModelConfig& config, DType dtype,
                          std::vector<std::string>* warnings) {
  Matcher matcher(dir, config);
  Matcher::drop_absent_mtp(matcher.shards(), config, warnings);
  OwnedWeights weights = allocate_weights(config, dtype);
  const std::vector<Job> jobs = matcher.match(weights.view);
  matcher.check();
  ctx.pool.parallel_for(static_cast<int64_t>(jobs.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) run_job(jobs[static_cast<size_t>(i)]);
  });
  return weights;
}

LoadedModel load_model(Context& ctx, const fs::path& dir, DType dtype) {
  LoadedModel model;
  model.config = read_model_config(dir);
  model.weights = load_weights(ctx, dir, model.config, dtype, &model.warnings);
  return model;
}

}  // namespace temper
