// The supervised loss in closed form.
#include "sft/loss.h"

#include "tests/support/catch.h"

using namespace temper;

TEST_CASE("sft loss: minus the mean log-probability of what the mask lets in") {
  const std::vector<TrainSequence> sequences{
      {{5, 6, 7, 8}, {1, 1, 0, 1}}, {{9}, {1}}, {{1, 2}, {0, 1}}};
  CHECK(count_targets(sequences) == 3);  // the first token of a sequence is never predicted
  TokenLoss tokens;
  tokens.logprob = {{0.0, -1.0, -50.0, -0.25}, {0.0}, {0.0, -2.0}};
  tokens.dlogprob = {{0, 0, 0, 0}, {0}, {0, 0}};
  CHECK(sft_loss(tokens, sequences, 3.0) == Approx(3.25 / 3.0).epsilon(1e-14));
  const double d = -1.0 / 3.0;
  CHECK(tokens.dlogprob == std::vector<std::vector<double>>{{0, d, 0, d}, {0}, {0, d}});
}

TEST_CASE("sft loss: parts of a batch add up under the batch's normaliser") {
  const std::vector<TrainSequence> a{{{1, 2, 3}, {0, 1, 1}}}, b{{{4, 5}, {0, 1}}};
  TokenLoss whole, first, second;
  whole.logprob = {{0, -1.5, -0.5}, {0, -3.0}};
  whole.dlogprob = {{0, 0, 0}, {0, 0}};
  first.logprob = {whole.logprob[0]}, first.dlogprob = {{0, 0, 0}};
  second.logprob = {whole.logprob[1]}, second.dlogprob = {{0, 0}};
  const std::vector<TrainSequence> both{a[0], b[0]};
  CHECK(sft_loss(first, a, 3.0) + sft_loss(second, b, 3.0) == Approx(sft_loss(whole, both, 3.0)));
  CHECK(first.dlogprob[0] == whole.dlogprob[0]);
  CHECK(second.dlogprob[0] == whole.dlogprob[1]);
}

TEST_CASE("sft loss: a batch without a counted token is our bug, not a loss of 0") {
  const std::vector<TrainSequence> none{{{1, 2}, {0, 0}}};
  TokenLoss tokens;
  tokens.logprob = tokens.dlogprob = {{0, 0}};
  CHECK_THROWS_AS(sft_loss(tokens, none, 0.0), ContractError);
}
