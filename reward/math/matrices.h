// Arithmetic of matrices whose entries are expressions.
#pragma once

#include "reward/math/node.h"

namespace temper {

// The sum of two matrices; nullptr if they are not of one shape or the result is too large.
NodePtr matrix_sum(const NodePtr& a, const NodePtr& b);

// The product of two matrices, or of a matrix and a value on either side; nullptr likewise.
NodePtr matrix_product(const NodePtr& a, const NodePtr& b);

// With rows for columns.
NodePtr transposed(const Node& matrix);

// The determinant of a square matrix of up to four rows; nullptr for another.
NodePtr determinant(const Node& matrix);

}  // namespace temper
