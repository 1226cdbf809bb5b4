#include "model/ops/cpu/sample.h"

#include <algorithm>
#include <cmath>
#include <span>

namespace temper::cpu {

namespace {

struct Candidate {
  double weight;
  int32_t token;
};
// Working memory of one thread.
struct Scratch {
  std::vector<double> block_sums;
  std::vector<Candidate> candidates;
};

// Sums are kept a block, so that finding the token of a number looks into one block only.
constexpr int64_t kBlock = 256;

// A row of logits under one temperature. weight(v) = exp(z_v - max z).
template <class T>
struct Row {
  const T* logits;
  int64_t size;
  double temperature;
  double max = 0.0;     // of z
  int32_t argmax = 0;   // the first
  double sum = 0.0;     // of the weights
  double moment = 0.0;  // of weight * (z - max); only if asked for

  double shifted(int64_t v) const { return static_cast<double>(logits[v]) / temperature - max; }
  double weight(int64_t v) const { return std::exp(shifted(v)); }
  double logprob(int64_t v) const { return shifted(v) - std::log(sum); }
  double entropy() const { return std::log(sum) - moment / sum; }
};

template <class T>
void find_max(Row<T>& row) {
  const T* best = std::max_element(row.logits, row.logits + row.size);
  row.argmax = static_cast<int32_t>(best - row.logits);
  row.max = static_cast<double>(*best) / row.temperature;
}

template <class T>
void sum_weights(Row<T>& row, Scratch& scratch, bool entropy) {
  scratch.block_sums.clear();
  for (int64_t begin = 0; begin < row.size; begin += kBlock) {
    const int64_t end = std::min(begin + kBlock, row.size);
    double sum = 0.0;
    for (int64_t v = begin; v < end; ++v) {
      const double z = row.shifted(v);
      const double weight = std::exp(z);
      sum += weight;
      if (entropy && weight > 0.0) row.moment += weight * z;
    }
    scratch.block_sums.push_back(sum);
    row.sum += sum;
  }
}

// The token v with sum of weights before v <= uniform * sum < that sum + weight(v).
template <class T>
int32_t draw_unfiltered(const Row<T>& row, const Scratch& scratch, double uniform) {
  double left = uniform * row.sum;
  size_t block = 0;
  while (block + 1 < scratch.block_sums.size() && left >= scratch.block_sums[block]) {
    left -= scratch.block_sums[block++];
  }
  const int64_t begin = static_cast<int64_t>(block) * kBlock;
  const int64_t end = std::min(begin + kBlock, row.size);
  int32_t last = row.argmax;  // rounding may leave a rest: then the last token that has weight
  for (int64_t v = begin; v < end; ++v) {
    const double weight = row.weight(v);
    if (weight <= 0.0) continue;
    last = static_cast<int32_t>(v);
    if (left < weight) return last;
    left -= weight;
  }
  return last;
}

bool likelier(const Candidate& a, const Candidate& b) {
  return a.weight != b.weight ? a.weight > b.weight : a.token < b.token;
}

double sum_of(std::span<const Candidate> candidates) {
  double sum = 0.0;
  for (const Candidate& c : candidates) sum += c.weight;
  return sum;
}

// Keeps the fewest likeliest candidates whose weights reach `mass`: a quickselect that follows the
// mass, so the candidates are never sorted whole.
void keep_mass(std::vector<Candidate>& candidates, double mass) {
  size_t begin = 0, end = candidates.size();  // the cut lies in (begin, end]
  double before = 0.0;                        // mass of [0, begin)
  while (end - begin > 1) {
    const size_t middle = begin + (end - begin) / 2;
    const auto first = candidates.begin();
    std::nth_element(first + static_cast<int64_t>(begin), first + static_cast<int64_t>(middle),
                     first + static_cast<int64_t>(end), likelier);
    const double half = sum_of({candidates.data() + begin, middle - begin});
    if (before + half >= mass) {
      end = middle;
    } else {
      before += half;
      begin = middle;
    }
  }
  candidates.resize(end);
}

// Gathers what the filters keep into scratch.candidates, in no order that matters.
template <class T>
void gather_kept(const Row<T>& row, const SamplingParams& params, Scratch& scratch) {
  std::vector<Candidate>& kept = scratch.candidates;
  kept.clear();
  const bool by_k = params.top_k > 0, by_mass = params.top_p < 1.0;
  // Tokens lighter than `floor` are sure to be cut: by min_p, or since all of them together weigh
  // less than what top_p leaves out (half of it, to be safe from rounding). With top_k and top_p
  // both, what min_p cuts still counts in the mass that top_p shares out.
  double floor = by_k && by_mass ? 0.0 : params.min_p;
  if (!by_k && by_mass) {
    const double spare = (1.0 - params.top_p) * row.sum / static_cast<double>(row.size);
    floor = std::max(floor, 0.5 * spare);
  }
  for (int64_t v = 0; v < row.size; ++v) {
    const double weight = row.weight(v);
    if (weight >= floor && weight > 0.0) kept.push_back({weight, static_cast<int32_t>(v)});
  }
  const size_t k = static_cast<size_t>(params.top_k);
  if (by_k && k < kept.size()) {
    std::nth_element(kept.begin(), kept.begin() + params.top_k - 1, kept.end(), likelier);
    kept.resize(k);
  }
  if (by_mass) keep_mass(kept, params.top_p * (by_k ? sum_of(kept) : row.sum));
  if (params.min_p > 0.0) {
    std::erase_if(kept, [&](const Candidate& c) { return c.weight < params.min_p; });
  }
  // In the order of ids: which token a number draws must not hang on the selection's order.
  std::sort(kept.begin(), kept.end(),
            [](const Candidate& a, const Candidate& b) { return a.token < b.token; });
}

// One draw's place in the outputs.
struct Draw {
  int32_t& token;
  double& logprob;
  double& sampled_logprob;
  double& entropy;
};
Draw place_of(const SampleOutputs& out, int64_t i) {
  double* numbers = out.numbers.row<double>(i);
  return {out.token.get<int32_t>()[i], numbers[0], numbers[1], numbers[2]};
}

template <class T>
void draw_one(Draw draw, const Row<T>& row, const SamplingParams& params, const Scratch& scratch,
              double uniform) {
  draw.sampled_logprob = 0.0;
  if (params.temperature <= 0.0) {
    draw.token = row.argmax;
    draw.logprob = row.logprob(draw.token);
  } else if (!params.filtered()) {
    draw.token = draw_unfiltered(row, scratch, uniform);
    draw.logprob = draw.sampled_logprob = row.logprob(draw.token);
  } else {
    const std::vector<Candidate>& kept = scratch.candidates;
    const double sum = sum_of(kept);
    double left = uniform * sum;
    size_t at = 0;
    while (at + 1 < kept.size() && left >= kept[at].weight) left -= kept[at++].weight;
    draw.token = kept[at].token;
    draw.logprob = row.logprob(draw.token);
    draw.sampled_logprob = std::log(kept[at].weight) - std::log(sum);
  }
}

SamplingParams rule_of(const SampleDraws& draws, int64_t i) {
  const double* rule = draws.rules.row<double>(i);
  return {rule[0], static_cast<int64_t>(rule[1]), rule[2], rule[3]};
}

// Draws [begin, end), which share row and rule.
template <class T>
void draw_row(const SampleOutputs& out, const Tensor& logits, const SampleDraws& draws,
              int64_t begin, int64_t end, Scratch& scratch) {
  const SamplingParams params = rule_of(draws, begin);
  Row<T> row{.logits = logits.row<T>(draws.row.get<int32_t>()[begin]),
             .size = logits.cols(),
             .temperature = params.recorded_temperature()};
  find_max(row);
  sum_weights(row, scratch, draws.entropy);
  const bool finite = std::isfinite(row.sum), cut = params.filtered() && params.temperature > 0.0;
  if (finite && cut) gather_kept(row, params, scratch);
  for (int64_t i = begin; i < end; ++i) {
    const Draw draw = place_of(out, i);
    draw.token = -1;
    draw.entropy = draws.entropy && finite ? row.entropy() : 0.0;
    if (!finite) continue;
    draw_one(draw, row, params, scratch, draws.uniform.get<double>()[i]);
    if (out.kept.empty() || !cut) continue;
    auto* words = reinterpret_cast<uint32_t*>(out.kept.row<int32_t>(i));
    for (const Candidate& c : scratch.candidates) words[c.token / 32] |= 1U << (c.token % 32);
  }
}

bool alike(const SampleDraws& draws, int64_t i, int64_t j) {
  const double *a = draws.rules.row<double>(i), *b = draws.rules.row<double>(j);
  const int32_t* row = draws.row.get<int32_t>();
  return row[i] == row[j] && std::equal(a, a + kRuleColumns, b);
}

}  // namespace

void sample(Context& ctx, const SampleOutputs& out, Tensor logits, const SampleDraws& draws) {
  const int64_t parts = ctx.pool.size(), count = draws.row.numel();
  for (int64_t i = 0; i < count && !out.kept.empty(); ++i)
    std::fill_n(out.kept.row<int32_t>(i), out.kept.cols(), 0);
  // Part p takes every parts-th run of draws that share a row.
  ctx.pool.parallel_for(parts, 1, [&](int64_t part_begin, int64_t part_end) {
    for (int64_t part = part_begin; part < part_end; ++part) {
      Scratch scratch;
      int64_t run = 0;
      for (int64_t begin = 0, end; begin < count; begin = end, ++run) {
        for (end = begin + 1; end < count && alike(draws, begin, end); ++end) {
        }
        if (run % parts != part) continue;
        dispatch_float(logits.dtype,
                       [&]<class T>() { draw_row<T>(out, logits, draws, begin, end, scratch); });
      }
    }
  });
}

void follow_draws(Tensor ids, Tensor tokens) {
  int32_t* id = ids.get<int32_t>();
  for (int64_t n = 0; n < ids.numel(); ++n)
    if (id[n] < 0) id[n] = std::max(0, tokens.get<int32_t>()[-1 - id[n]]);
}

}  // namespace temper::cpu
