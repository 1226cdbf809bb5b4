// A device that failed under the program and cannot be used again before the program ends.
#pragma once

#include "core/error.h"

namespace temper {

class DeviceLost : public SystemError {
 public:
  using SystemError::SystemError;
};

}  // namespace temper
