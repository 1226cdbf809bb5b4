// temper doctor: what this machine offers, and what this binary can make of it.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "cli/build_info.h"
#include "cli/machine.h"
#include "cli/subcommands.h"
#include "core/arena.h"
#include "core/context.h"
#include "core/device.h"
#include "core/error.h"
#include "core/stopwatch.h"
#include "model/ops/linear.h"
#include "reward/code/control_group.h"
#include "reward/code/judge.h"
#include "reward/code/sandbox.h"

namespace temper {
namespace {

struct DoctorOptions {
  std::string path = ".";
  bool measure = true;
};

std::string gibibytes(int64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f GiB", static_cast<double>(bytes) / (1 << 30));
  return bytes < 0 ? "unknown" : text;
}

void line(std::ostream& out, const std::string& name, const std::string& value) {
  out << "  " << name << std::string(name.size() < 20 ? 20 - name.size() : 1, ' ') << value << '\n';
}

const char* yes(bool condition) {
  return condition ? "yes" : "no";
}

// GFLOP/s of the matrix product that the layers use, best of several: y = x w^T, n x n x n in f32.
double measure_product(Context& ctx, int64_t n) {
  const OwnedTensor y = allocate(DType::f32, {n, n}), x = allocate(DType::f32, {n, n}),
                    w = allocate(DType::f32, {n, n});
  double best = 1e30;
  for (int round = 0; round < 5; ++round) {
    const Stopwatch stopwatch;
    linear_forward(ctx, y.view, x.view, w.view);
    best = std::min(best, stopwatch.seconds());
  }
  return 2.0 * static_cast<double>(n * n * n) / best / 1e9;
}

void report_build(std::ostream& out) {
  const BuildInfo info = build_info();
  out << "Temper\n";
  line(out, "version", code_version());
  line(out, "compiler", info.compiler + " (" + info.flags + ")");
  std::string libraries;
  for (const auto& [name, version] : info.libraries) {
    libraries += (libraries.empty() ? "" : ", ") + name + " " + version;
  }
  line(out, "libraries", libraries);
  line(out, "GPU parts", info.cuda.empty() ? "none: CPU-only build" : "CUDA " + info.cuda);
}

void report_machine(std::ostream& out, const Machine& machine, const std::string& path) {
  out << "\nMachine\n";
  line(out, "system", machine.system);
  line(out, "CPU", machine.cpu);
  line(out, "cores", std::to_string(machine.cores));
  line(out, "vector units", machine.vector_sets);
  line(out, "memory",
       gibibytes(machine.memory_bytes) + ", " + gibibytes(machine.memory_free) + " of it free");
  line(out, "free disk", gibibytes(free_disk_bytes(path)) + " under " + path);
  line(out, "GPU driver", machine.gpu_driver.empty() ? "none" : machine.gpu_driver);
  if (!machine.gpu_driver.empty() && build_info().cuda.empty()) {
    line(out, "", "a GPU is here, but this build cannot use it: build with nvcc on PATH");
  }
}

void report_gpu(std::ostream& out) {
  const GpuInfo gpu = gpu_info();
  out << "\nGPU\n";
  if (!gpu.problem.empty()) return line(out, "usable", "no: " + gpu.problem);
  const auto version = [](int number) {
    return std::to_string(number / 1000) + "." + std::to_string(number % 1000 / 10);
  };
  line(out, "usable", "yes: --device cuda is the default");
  line(out, "card", gpu.name + ", " + std::to_string(gpu.multiprocessors) + " multiprocessors");
  line(out, "memory", gibibytes(gpu.memory_bytes) + ", " + gibibytes(gpu.memory_free) + " free");
  line(out, "CUDA", version(gpu.runtime_version) + ", driver for " + version(gpu.driver_version));
  const std::string capability =
      std::to_string(gpu.capability_major) + "." + std::to_string(gpu.capability_minor);
  line(out, "capability",
       capability + (gpu.tuned                   ? ": what the kernels are tuned for"
                     : gpu.capability_major == 9 ? ": but this build has the plain kernels alone; "
                                                   "configure with "
                                                   "-DCMAKE_CUDA_ARCHITECTURES=90a-real"
                                                 : ": the plain kernels; tuned are those for 9.0"));
}

// Why programs cannot be sealed here, or "".
std::string sealing_fault() {
  try {
    return Sandbox({}).fault();
  } catch (const SystemError& refusal) {
    return refusal.what();
  }
}

// Why programs in Python cannot be forked from a started interpreter, or "".
std::string forking_fault() {
  const Sandbox sandbox({});
  return CodeJudge(sandbox, {}).cold_reason();
}

void report_sandbox(std::ostream& out) {
  const SandboxLayers layers = probe_sandbox();
  out << "\nSandbox layers (for the reward rule 'code', which runs programs)\n";
  line(out, "user namespaces", yes(layers.user_namespaces));
  line(out, "mount namespaces", yes(layers.mount_namespaces));
  line(out, "PID and IPC", yes(layers.process_namespaces));
  line(out, "network namespaces", yes(layers.network_namespaces));
  line(out, "seccomp filters", yes(layers.seccomp_filters));
  line(out, "Landlock",
       layers.landlock_version > 0 ? "version " + std::to_string(layers.landlock_version) : "no");
  const ControlGroups groups;
  line(out, "control groups",
       groups.available() ? "yes" : "no (limits a process remain): " + groups.fault());
  const std::string fault = sealing_fault();
  line(out, "a sealed program", fault.empty() ? "runs" : "does not run: " + fault);
  for (const char* program : {"/usr/bin/python3", "/usr/bin/g++"}) {
    line(out, std::filesystem::path(program).filename(), yes(std::filesystem::exists(program)));
  }
  if (fault.empty() && std::filesystem::exists("/usr/bin/python3")) {
    const std::string reason = forking_fault();
    line(out, "forked Python", reason.empty() ? "runs" : "no (each program starts one): " + reason);
  }
  if (!fault.empty()) {
    line(out, "", "the rule 'code' refuses to start here; docs/rewards.md says what can be done");
  }
}

int run_doctor(const DoctorOptions& options, Invocation& cli) {
  report_build(cli.out);
  report_machine(cli.out, probe_machine(), options.path);
  report_gpu(cli.out);
  report_sandbox(cli.out);
  if (!options.measure) return 0;
  Context ctx(static_cast<int>(cli.common.threads));
  char text[64];
  std::snprintf(text, sizeof text, "%.1f GFLOP/s on %d threads", measure_product(ctx, 1024),
                ctx.pool.size());
  cli.out << "\nMeasured\n";
  line(cli.out, "f32 product, 1024^3", text);
  return 0;
}

}  // namespace

void add_doctor(Subcommands& list) {
  const auto options = std::make_shared<DoctorOptions>();
  OptionsTable table;
  table.add("path", &options->path, "folder whose free disk space is shown").value_name("DIR");
  table.add("measure", &options->measure, "time a matrix product");
  list.add({.name = "doctor",
            .about = "what this machine offers: CPU, memory, disk, GPU, sandbox layers",
            .options = std::move(table),
            .run = [options](Invocation& cli) { return run_doctor(*options, cli); }});
}

}  // namespace temper
