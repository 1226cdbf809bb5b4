// The first process of a sealed program's PID namespace. The kernel keeps the signals that a first
// process sends itself from it, so a program in that place could not be seen to fail by one.
#pragma once

#include <string>

namespace temper {

// A static executable for this machine that waits for signals for ever. When it is killed, the
// kernel ends all that is left in its namespace.
std::string init_program();

}  // namespace temper
