// Running one program to its end: input given, output kept up to a limit, time kept by the judge.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "reward/code/program.h"

namespace temper {

enum class RunOutcome {
  finished,      // ended by itself; `end` says how
  timeout,       // CPU time or wall clock
  output_limit,  // wrote more than the limit
};

struct RunResult {
  RunOutcome outcome = RunOutcome::finished;
  ProgramEnd end = {};
  std::string output;  // of the standard output, up to the limit
  std::string errors;  // the last part of the standard error, up to 4 KiB
  double wall_seconds = 0.0;
};

// What a person should know of a run that did not exit with 0; "" if it did.
std::string failure_of(const RunResult& run);

// Runs the program with `input` as its standard input (a file in memory) and waits for its end;
// descriptors 0 to 2 of `program` are set here. Nothing of it is left afterwards.
// Throws SystemError.
RunResult run_to_end(const ProgramStarter& starter, SandboxProgram program, std::string_view input,
                     const RunLimits& limits);

// Milliseconds from now to `deadline` for poll, rounded up; 0 if it has passed.
int milliseconds_until(std::chrono::steady_clock::time_point deadline);

// `seconds` from now.
std::chrono::steady_clock::time_point deadline_after(double seconds);

// Whether a program that ended so was stopped by its limit on CPU time.
bool out_of_cpu_time(const ProgramEnd& end, const RunLimits& limits);

}  // namespace temper
