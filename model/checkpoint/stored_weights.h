// The weights of a model folder as they lie in its files, matched to its config.json.
#pragma once

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "model/checkpoint/elements.h"
#include "model/checkpoint/hf_names.h"
#include "model/checkpoint/shards.h"

namespace temper {

class StoredWeights {
 public:
  // Opens the files of `dir` and compares them with `config`, whose num_nextn_predict_layers is
  // lowered to the modules that are there, with a line in `warnings` (may be nullptr).
  // Throws UserError: one message names every tensor that is missing, unexpected, mis-shaped,
  // truncated or of a type that cannot be converted.
  StoredWeights(const std::filesystem::path& dir, ModelConfig& config,
                std::vector<std::string>* warnings);

  // What the config asks for, in published_tensors()'s order; shapes without memory.
  const std::vector<PublishedTensor>& tensors() const { return tensors_; }

  // Rows of tensor `index`, converted. Safe from several threads.
  // Shapes: target [range.count, cols]. Types: target f32, f64 or bf16.
  void read(size_t index, RowRange range, void* target, DType to) const;

 private:
  // Where a tensor's numbers come from.
  struct Part {
    const StoredTensor* stored = nullptr;
    DType dtype = DType::f32;
    std::vector<float> scales;  // of FP8
    Fp8Blocks blocks;
  };

  void drop_absent_mtp(ModelConfig& config, std::vector<std::string>* warnings) const;
  void read_block_size();
  Part match(const PublishedTensor& wanted);
  void find_scales(const PublishedTensor& wanted, Part& part);
  void throw_problems() const;

  std::filesystem::path dir_;
  Shards shards_;
  int64_t block_rows_ = 128, block_cols_ = 128;
  std::vector<PublishedTensor> tensors_;
  std::vector<Part> parts_;
  std::set<std::string> used_;
  std::vector<std::string> problems_;
};

}  // namespace temper
