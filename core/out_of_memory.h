// A device that has no more memory: somebody who knows what the memory was for can say more.
#pragma once

#include "core/error.h"

namespace temper {

class OutOfMemory : public SystemError {
 public:
  using SystemError::SystemError;
};

}  // namespace temper
