#include "model/training/token_numbers.h"

#include <algorithm>

#include "core/device.h"

namespace temper {

std::vector<std::vector<double>> to_tokens(Context& ctx, Tensor rows,
                                           std::span<const TrainSequence> sequences) {
  const std::vector<double> numbers = download_doubles(ctx, rows);
  std::vector<std::vector<double>> out;
  size_t r = 0;
  for (const TrainSequence& s : sequences) {
    std::vector<double>& tokens = out.emplace_back(s.ids.size(), 0.0);
    for (size_t i = 1; i < s.ids.size(); ++i)
      if (s.mask[i]) tokens[i] = numbers[r++];
  }
  return out;
}

std::vector<double> counted_numbers(const std::vector<std::vector<double>>& tokens,
                                    std::span<const TrainSequence> sequences) {
  std::vector<double> numbers;
  for (size_t s = 0; s < sequences.size(); ++s)
    for (size_t i = 1; i < sequences[s].ids.size(); ++i)
      if (sequences[s].mask[i]) numbers.push_back(tokens[s][i]);
  return numbers;
}

Tensor upload_numbers(Context& ctx, Arena& arena, DType dtype, std::span<const double> numbers,
                      double factor) {
  const OwnedTensor host = allocate(dtype, {static_cast<int64_t>(numbers.size())});
  dispatch_float(dtype, [&]<class T>() {
    std::transform(numbers.begin(), numbers.end(), host.view.get<T>(),
                   [&](double x) { return static_cast<T>(x * factor); });
  });
  return upload(ctx, arena, "train.dtoken", host.view);
}

Tensor from_tokens(Context& ctx, Arena& arena, DType dtype,
                   const std::vector<std::vector<double>>& tokens,
                   std::span<const TrainSequence> sequences, double factor) {
  return upload_numbers(ctx, arena, dtype, counted_numbers(tokens, sequences), factor);
}

}  // namespace temper
