#include "core/tensor.h"

#include <vector>

#include "tests/support/catch.h"

using namespace temper;

TEST_CASE("tensor slices of the last dimension keep the row stride") {
  std::vector<float> data(24);
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<float>(i);
  const Tensor t = make_tensor(data.data(), DType::f32, {2, 3, 4});
  const Tensor s = t.slice_cols(1, 2);
  REQUIRE(s.rows() == 6);
  REQUIRE(s.row<float>(5)[1] == 22.0f);
  REQUIRE(s.slice_rows(1, 1).row<float>(0)[0] == 13.0f);
  REQUIRE(s.reshape({6, 2}).row<float>(4)[0] == 17.0f);
  REQUIRE_THROWS_AS(s.reshape({12}), ContractError);
  REQUIRE_THROWS_AS(t.get<double>(), ContractError);
}
