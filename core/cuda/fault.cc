#include "core/cuda/fault.h"

namespace temper::cuda {

std::string_view loss_of_device(cudaError_t status) {
  switch (status) {
    case cudaErrorECCUncorrectable:
#if CUDART_VERSION >= 13000
    case cudaErrorContained:
#endif
      return "memory of the GPU has failed: nvidia-smi -q -d ECC,ROW_REMAPPER tells more; a reset "
             "of the GPU may map the bad rows away";
    case cudaErrorNvlinkUncorrectable:
    case cudaErrorHardwareStackError:
    case cudaErrorExternalDevice:
      return "the GPU's hardware has failed: the kernel's log (dmesg, lines with Xid) tells more";
    case cudaErrorDevicesUnavailable:
    case cudaErrorDeviceUninitialized:
    case cudaErrorNoDevice:
    case cudaErrorInvalidDevice:
    case cudaErrorSystemNotReady:
    case cudaErrorSystemDriverMismatch:
    case cudaErrorUnknown:
      return "the GPU is gone or in use by others alone: look at nvidia-smi and the kernel's log "
             "(dmesg, lines with Xid)";
    case cudaErrorIllegalAddress:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorAssert:
    case cudaErrorLaunchFailure:
    case cudaErrorLaunchTimeout:
      return "a kernel failed, and with it all that was queued: the GPU's memory has gone bad "
             "(nvidia-smi -q -d ECC), or this is a bug in temper: please report it";
    default:
      return "";
  }
}

}  // namespace temper::cuda
