// The distance of two rows of logits against its definition and its own gradient.
#include "model/ops/row_kl.h"

#include <cmath>
#include <limits>

#include "tests/model/ops/op_test.h"

using namespace temper;
using test::Tensors;

namespace {

std::vector<double> softmax(const std::vector<double>& z, double temperature) {
  double sum = 0;
  std::vector<double> p;
  for (const double x : z) sum += std::exp(x / temperature);
  for (const double x : z) p.push_back(std::exp(x / temperature) / sum);
  return p;
}

double kl(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (size_t v = 0; v < a.size(); ++v) sum += a[v] * std::log(a[v] / b[v]);
  return sum;
}

// The op on one row; `student` becomes its gradient.
template <class T>
double row_kl(KlDirection direction, std::vector<T>& student, const std::vector<T>& teacher,
              double temperature, double scale) {
  Context ctx(1);
  const DType dtype = sizeof(T) == 8 ? DType::f64 : DType::f32;
  const auto n = static_cast<int64_t>(student.size());
  const OwnedTensor kl = allocate(DType::f64, {1}), z = allocate(dtype, {1, n});
  const OwnedTensor other = allocate(dtype, {1, n});
  std::copy(student.begin(), student.end(), z.view.get<T>());
  std::copy(teacher.begin(), teacher.end(), other.view.get<T>());
  row_kl(ctx, kl.view, z.view, other.view, {direction, temperature, scale});
  student.assign(z.view.get<T>(), z.view.get<T>() + n);
  return *kl.view.get<double>();
}

}  // namespace

TEST_CASE("forward and reverse KL equal their definition") {
  const std::vector<double> student{0.3, -1.2, 2.0, 0.0}, teacher{1.1, 0.4, -0.5, 0.2};
  for (const double temperature : {1.0, 2.5}) {
    const auto p = softmax(student, temperature), q = softmax(teacher, temperature);
    std::vector<double> z = student;
    CHECK(row_kl(KlDirection::forward, z, teacher, temperature, 1.0) == Approx(kl(q, p)));
    z = student;
    CHECK(row_kl(KlDirection::reverse, z, teacher, temperature, 1.0) == Approx(kl(p, q)));
    std::vector<float> zf(student.begin(), student.end());
    const std::vector<float> tf(teacher.begin(), teacher.end());
    CHECK(row_kl(KlDirection::forward, zf, tf, temperature, 1.0) == Approx(kl(q, p)));
  }
  std::vector<double> same = teacher;
  CHECK(row_kl(KlDirection::forward, same, teacher, 1.0, 1.0) == Approx(0.0).margin(1e-15));
  for (const double slope : same) CHECK(std::abs(slope) < 1e-15);
}

TEST_CASE("forward and reverse KL have the gradient of central differences", "[gradient]") {
  for (const KlDirection direction : {KlDirection::forward, KlDirection::reverse}) {
    const double temperature = GENERATE(1.0, 0.7), scale = 0.31;
    Tensors make;
    const Tensor student = make.normal(DType::f64, {1, 23}, 2.0);
    const Tensor teacher = make.normal(DType::f64, {1, 23}, 2.0);
    Context ctx(1);
    const Tensor value = make.zeros(DType::f64, {1});
    const auto loss = [&] {
      row_kl(ctx, value, make.copy_of(student), teacher, {direction, temperature, 1.0});
      return scale * *value.get<double>();
    };
    const Tensor gradient = make.copy_of(student);
    row_kl(ctx, value, gradient, teacher, {direction, temperature, scale});
    const auto error = test::check_gradient(student, gradient, loss);
    INFO(error.where);
    CHECK(error.relative < 1e-8);
  }
}

TEST_CASE("a token that a model never says does no harm where it may") {
  const double inf = std::numeric_limits<double>::infinity();
  std::vector<double> z{0.0, 1.0, 2.0};
  const std::vector<double> teacher{-inf, 1.0, 2.0};
  CHECK(std::isfinite(row_kl(KlDirection::forward, z, teacher, 1.0, 1.0)));
  for (const double slope : z) CHECK(std::isfinite(slope));
  z = {-inf, 1.0, 2.0};
  CHECK(
      std::isfinite(row_kl(KlDirection::reverse, z, std::vector<double>{0.0, 1.0, 2.0}, 1.0, 1.0)));
}
