// What the sandbox costs, and how many answers are judged a second. Usage: bench_code [THREADS]
#include <sched.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "core/json.h"
#include "core/thread_pool.h"
#include "reward/code/compiler.h"
#include "reward/code/run.h"
#include "reward/code/warm_python.h"
#include "reward/rules/code.h"

using namespace temper;

namespace {

using Clock = std::chrono::steady_clock;

double microseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

// CPU time of this process and of the children it has waited for, in milliseconds: what a machine
// that other work shares does not change much.
double cpu_milliseconds() {
  double sum = 0.0;
  for (const int who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage usage{};
    getrusage(who, &usage);
    for (const timeval& t : {usage.ru_utime, usage.ru_stime}) {
      sum += static_cast<double>(t.tv_sec) * 1e3 + static_cast<double>(t.tv_usec) * 1e-3;
    }
  }
  return sum;
}

struct Times {
  std::vector<double> all;
  double at(double share) {
    std::sort(all.begin(), all.end());
    return all[static_cast<size_t>(share * static_cast<double>(all.size() - 1))];
  }
};

// A program without any sandbox, its output to a pipe that is read: what must be paid anyhow.
void run_bare(const std::vector<std::string>& arguments) {
  PipeEnds pipe = make_pipe();
  std::vector<char*> pointers;
  for (const std::string& text : arguments) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, pipe.write.get(), 1);
  pid_t child = -1;
  if (posix_spawn(&child, pointers[0], &actions, nullptr, pointers.data(), environ) != 0) {
    std::abort();
  }
  posix_spawn_file_actions_destroy(&actions);
  pipe.write.reset();
  char block[256];
  while (read(pipe.read.get(), block, sizeof block) > 0) {
  }
  waitpid(child, nullptr, 0);
}

// The two take turns, so that what else the machine does meets both alike.
void measure_overhead(const ProgramStarter& starter, const char* name,
                      const std::vector<std::string>& arguments,
                      const std::vector<ProgramFile>& files) {
  constexpr int kRounds = 200;
  Times bare, sealed;
  double bare_cpu = 0.0, sealed_cpu = 0.0;
  for (int i = 0; i < kRounds; ++i) {
    const double cpu_before = cpu_milliseconds();
    auto start = Clock::now();
    run_bare(arguments);
    bare.all.push_back(microseconds_since(start));
    const double cpu_between = cpu_milliseconds();
    start = Clock::now();
    run_to_end(starter, {.arguments = arguments, .files = files}, "", {});
    sealed.all.push_back(microseconds_since(start));
    bare_cpu += (cpu_between - cpu_before) / kRounds;
    sealed_cpu += (cpu_milliseconds() - cpu_between) / kRounds;
  }
  std::printf("%-28s bare p50 %6.2f ms   sealed p50 %6.2f p90 %6.2f ms   overhead p50 %5.2f ms\n",
              name, bare.at(0.5) / 1e3, sealed.at(0.5) / 1e3, sealed.at(0.9) / 1e3,
              (sealed.at(0.5) - bare.at(0.5)) / 1e3);
  std::printf("%-28s CPU  bare %5.2f ms, sealed %5.2f ms\n", "", bare_cpu, sealed_cpu);
}

// A compiled C++ program that reads a number and writes it.
void measure_runs(const Sandbox& sandbox, int threads) {
  const CompiledProgram program =
      compile_cpp(sandbox, "/usr/bin/g++",
                  "#include <iostream>\nint main() { int x; std::cin >> x; std::cout << x; }");
  ThreadPool pool(threads);
  constexpr int64_t kRuns = 2000;
  const double cpu_before = cpu_milliseconds();
  const auto start = Clock::now();
  pool.parallel_for(kRuns, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const SandboxProgram run{.arguments = {"main"}, .executable = program.executable.get()};
      if (run_to_end(sandbox, run, "7", {}).output != "7") std::abort();
    }
  });
  const double seconds = microseconds_since(start) * 1e-6;
  std::printf("%-44s %4lld runs on %d threads: %6.1f a second, %5.2f ms of CPU each\n",
              "C++, standard output, compiled before", static_cast<long long>(kRuns), threads,
              kRuns / seconds, (cpu_milliseconds() - cpu_before) / kRuns);
}

void measure_rate(const char* name, const char* start, int threads, const std::string& row,
                  const std::string& block) {
  auto rule = builtin_rules().make("code", {{"at_once", "1"}, {"start", start}}, "bench");
  const Json json = parse_json(row, "bench");
  ThreadPool pool(threads);
  const auto judge_all = [&](int64_t count) {
    pool.parallel_for(count, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const Verdict verdict = rule->score({.completion = block, .row = &json});
        if (verdict.status != VerdictStatus::ok) {
          std::printf("%s: %s\n", name, verdict.reason.c_str());
          std::abort();
        }
      }
    });
  };
  judge_all(2 * threads);  // starts what is started once
  constexpr int64_t kChecks = 1000;
  const double cpu_before = cpu_milliseconds();
  const auto begin = Clock::now();
  judge_all(kChecks);
  const double seconds = microseconds_since(begin) * 1e-6;
  rule.reset();  // interpreters that fork count their children when they end
  std::printf("%-38s %-5s %4lld checks on %d threads: %6.1f a second, %5.2f ms of CPU each\n", name,
              start, static_cast<long long>(kChecks), threads, kChecks / seconds,
              (cpu_milliseconds() - cpu_before) / kChecks);
}

}  // namespace

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : 2;
  const auto sandbox = open_code_sandbox({});
  measure_overhead(*sandbox, "/usr/bin/true", {"/usr/bin/true"}, {});
  const std::vector<std::string> python = {"/usr/bin/python3", "-s", "-S", "-B"};
  std::vector<std::string> print = python;
  print.insert(print.end(), {"-c", "print(1)"});
  measure_overhead(*sandbox, "python3 -c print(1), fresh", print, {});
  const WarmPython warm(*sandbox, python, {});
  measure_overhead(warm, "python3 -c print(1), warm", print, {{"main.py", "print(1)"}});
  measure_runs(*sandbox, threads);
  const std::string sum = "```python\nprint(sum(map(int, input().split())))\n```";
  for (const char* start : {"warm", "fresh"}) {
    measure_rate("Python, standard output, 1 test", start, threads,
                 R"({"tests":[{"input":"2 3","output":"5"}]})", sum);
    measure_rate("Python, 3 assertions", start, threads,
                 R"({"tests":["assert f(1) == 2","assert f(2) == 3","assert f(3) == 4"]})",
                 "```python\ndef f(x): return x + 1\n```");
  }
  return 0;
}
