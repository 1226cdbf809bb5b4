// Whether this build has a sanitizer, which takes terabytes of addresses for itself.
#pragma once

namespace temper::test {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

}  // namespace temper::test
