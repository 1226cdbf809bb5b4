// temper doctor: what this machine offers.
#include <unistd.h>

#include <thread>

#include "cli/subcommands.h"

namespace temper {

void add_doctor(Subcommands& list) {
  list.add({.name = "doctor", .about = "what this machine offers", .run = [](Invocation& cli) {
              cli.out << "cores          " << std::thread::hardware_concurrency() << '\n';
              const double bytes = static_cast<double>(sysconf(_SC_PHYS_PAGES)) *
                                   static_cast<double>(sysconf(_SC_PAGESIZE));
              cli.out << "memory         " << bytes / (1 << 30) << " GiB\n";
              return 0;
            }});
}

}  // namespace temper
