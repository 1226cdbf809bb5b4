// The binary as a user meets it: exit codes, messages, help.
#include "cli/command_line.h"

#include "cli/help.h"
#include "core/error.h"
#include "core/file.h"
#include "tests/support/catch.h"
#include "tests/support/paths.h"
#include "tests/support/run_binary.h"
#include "tests/support/temporary_folder.h"

using namespace temper;

namespace {

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

ProgramResult temper_with(const std::vector<std::string>& arguments) {
  return run_program(test::temper_binary(), arguments);
}

// A command line of two made-up subcommands, read in this process.
struct Sample {
  Sample() {
    Subcommand train{.name = "train", .about = "trains", .run = [](Invocation&) { return 0; }};
    train.options.add("model", &model, "checkpoint").required();
    train.options.add("learning-rate", &rate, "peak rate").above(0);
    train.options.add("shuffle", &shuffle, "shuffle the data");
    train.options.add("stop", &stop, "stop strings");
    Subcommand info{.name = "model info", .about = "shows", .run = [](Invocation&) { return 0; }};
    info.options.add("dir", &dir, "checkpoint").positional().required();
    list.add(std::move(train));
    list.add(std::move(info));
  }
  Command read(std::vector<std::string> words) {
    words.insert(words.begin(), "temper");
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    return read_command_line(static_cast<int>(argv.size()), argv.data(), list);
  }
  std::string error(const std::vector<std::string>& words) {
    try {
      read(words);
    } catch (const UserError& error) {
      return error.what();
    }
    return "no error";
  }

  std::string model, dir;
  double rate = 1e-5;
  bool shuffle = true;
  std::vector<std::string> stop;
  Subcommands list;
};

}  // namespace

TEST_CASE("flags reach their fields") {
  Sample sample;
  const Command command = sample.read({"train", "--model", "m", "--learning-rate=2e-3",
                                       "--no-shuffle", "--stop", "[a, b]", "--stop", "-x"});
  REQUIRE(command.kind == Command::Kind::run);
  CHECK(command.subcommand->name == "train");
  CHECK(sample.model == "m");
  CHECK(sample.rate == 2e-3);
  CHECK_FALSE(sample.shuffle);
  CHECK(sample.stop == std::vector<std::string>{"[a, b]", "-x"});
}

TEST_CASE("a nested subcommand takes its positional argument") {
  Sample sample;
  CHECK(sample.read({"model", "info", "train"}).subcommand->name == "model info");
  CHECK(sample.dir == "train");  // not taken for the subcommand of that name
  CHECK(contains(sample.error({"model", "info", "a", "b"}), "unexpected argument"));
  const Command family = sample.read({"model"});
  CHECK(family.kind == Command::Kind::help);
  CHECK(contains(overview_text(sample.list, family.group), "model info"));
}

TEST_CASE("flags win over the configuration file") {
  Sample sample;
  const TemporaryFolder folder;
  const std::string file =
      folder.write("c.toml",
                   "learning_rate = 0.5\nmodel = \"from file\"\nstop = [\"s\"]\nshuffle = false\n"
                   "[model.info]\ndir = \"other subcommand\"\n[train]\n");
  sample.read({"train", "--learning-rate", "0.25", "--config", file});
  CHECK(sample.rate == 0.25);
  CHECK(sample.model == "from file");
  CHECK(sample.stop == std::vector<std::string>{"s"});
  CHECK_FALSE(sample.shuffle);
  CHECK(sample.dir.empty());
  const std::string wrong = folder.write("wrong.toml", "\n[modl.info]\ndir = \"x\"\n");
  const std::string error = sample.error({"train", "--model", "m", "--config", wrong});
  CHECK(contains(error, "wrong.toml:3: unknown section"));
  CHECK(contains(error, "did you mean 'model.info'?"));
}

TEST_CASE("wrong command lines are refused with the nearest name") {
  Sample sample;
  CHECK(contains(sample.error({"trian"}), "did you mean 'train'?"));
  CHECK(contains(sample.error({"train", "--modle", "m"}), "did you mean '--model'?"));
  CHECK(contains(sample.error({"train", "--learning-rat=1"}), "did you mean '--learning-rate'?"));
  CHECK(contains(sample.error({"train", "--stop-text", "x"}), "did you mean '--stop'?"));
  CHECK(contains(sample.error({"train", "--learning", "1"}), "did you mean '--learning-rate'?"));
  CHECK(contains(sample.error({"train"}), "--model"));
  CHECK(contains(sample.error({"train", "--model", "a", "--model", "b"}), "takes one value"));
  CHECK(contains(sample.error({"train", "--model", "m", "--learning-rate", "0"}), "above 0"));
  CHECK(contains(sample.error({"train", "--model"}), "--model"));
  CHECK(contains(sample.error({"train", "--model", "--learning-rate", "1"}),
                 "--model: a value is missing\n  expected: a value before --learning-rate"));
  CHECK(contains(sample.error({"model", "inof"}), "did you mean 'info'? see temper model --help"));
}

TEST_CASE("the command line as text reads back in a shell") {
  std::vector<std::string> words{"temper", "a b", "it's", "", "--x=1"};
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  CHECK(command_line_text(5, argv.data()) == R"(temper 'a b' 'it'\''s' '' --x=1)");
}

TEST_CASE("help shows flags, defaults, units, ranges and choices") {
  Subcommand train{.name = "train", .about = "trains", .run = {}};
  double rate = 1e-5;
  int64_t length = 512;
  std::string data;
  bool shuffle = true;
  train.options.group("Data");
  train.options.add("data", &data, "rows").value_name("FILE").required();
  train.options.add("length", &length, "longest sample").unit("tokens").at_least(2);
  train.options.add("shuffle", &shuffle, "shuffle");
  train.options.group("Optimiser");
  train.options.add("rate", &rate, "peak rate").range(0, 1);
  const std::string text = help_text(train);
  CHECK(contains(text, "usage: temper train --data FILE [options]"));
  CHECK(contains(text, "\nData\n"));
  CHECK(contains(text, "[at least 2; default 512 tokens]"));
  CHECK(contains(text, "[0 to 1; default 1e-05]"));
  CHECK(contains(text, "--[no-]shuffle"));
  CHECK(contains(text, "rows [required]"));
  CHECK(contains(text, "--config FILE.toml"));
}

TEST_CASE("binary: version and help exit 0 on stdout") {
  const ProgramResult version = temper_with({"--version"});
  CHECK(version.exit_code == 0);
  CHECK(version.out.rfind("temper 0.", 0) == 0);
  const ProgramResult help = temper_with({"--help"});
  CHECK(help.exit_code == 0);
  CHECK(contains(help.out, "doctor"));
  CHECK(help.err.empty());
}

TEST_CASE("binary: every subcommand's help is complete") {
  Subcommands list;
  CommonOptions common;
  add_all_subcommands(list);
  add_common_options(list, common);
  for (const Subcommand& subcommand : list.all()) {
    INFO(subcommand.name);
    CHECK_FALSE(subcommand.about.empty());
    const std::string text = help_text(subcommand);
    for (const Option& option : subcommand.options.entries()) {
      INFO(option.flag());
      CHECK(contains(text, option.flag()));
      CHECK_FALSE(option.help().empty());
    }
  }
}

TEST_CASE("binary: a wrong flag exits 2 and names the nearest on stderr") {
  const ProgramResult flag = temper_with({"doctor", "--threds", "2"});
  CHECK(flag.exit_code == 2);
  CHECK(flag.out.empty());
  CHECK(contains(flag.err, "did you mean '--threads'?"));
  const ProgramResult subcommand = temper_with({"docter"});
  CHECK(subcommand.exit_code == 2);
  CHECK(contains(subcommand.err, "did you mean 'doctor'?"));
}

TEST_CASE("binary: an argument without a flag that is missing is named as the usage names it") {
  const ProgramResult result = run_program(test::temper_binary(), {"inspect", "sql", "r"});
  CHECK(contains(result.err, "expected: SQL"));
}

TEST_CASE("binary: a wrong key of the configuration file exits 2 with file and line") {
  const TemporaryFolder folder;
  const std::string file = folder.write("c.toml", "# c\nthread = 2\n");
  const ProgramResult result = temper_with({"doctor", "--config", file});
  CHECK(result.exit_code == 2);
  CHECK(contains(result.err, file + ":2"));
  CHECK(contains(result.err, "did you mean 'threads'?"));
  const ProgramResult missing = temper_with({"doctor", "--config", "/nonexistent.toml"});
  CHECK(missing.exit_code == 2);
  CHECK(contains(missing.err, "/nonexistent.toml"));
}

TEST_CASE("binary: the configuration file of docs/formats.md serves both its subcommands") {
  const std::string page = read_file(test::source_dir() + "/docs/formats.md");
  const size_t begin = page.find("```toml\n");
  REQUIRE(begin != std::string::npos);
  const size_t text = begin + 8, end = page.find("```", text);
  const TemporaryFolder folder;
  const std::string file = folder.write("docs.toml", page.substr(text, end - text));
  const ProgramResult sft = temper_with({"sft", "--config", file, "--print-config"});
  CHECK(sft.exit_code == 0);
  CHECK(contains(sft.out, "epochs = 2\n"));
  CHECK(contains(sft.out, "learning_rate = 3e-04"));
  const ProgramResult grpo =
      temper_with({"grpo", "--config", file, "--learning-rate", "2e-6", "--print-config"});
  CHECK(grpo.exit_code == 0);
  CHECK(contains(grpo.out, "stop = [\"</answer>\", \"\\n\\n\"]"));
  CHECK(contains(grpo.out, "learning_rate = 2e-06"));
}

TEST_CASE("binary: doctor reports the build, the machine and the sandbox layers") {
  const ProgramResult result = temper_with({"doctor", "--threads", "1"});
  CHECK(result.exit_code == 0);
  for (const char* part : {"compiler", "SQLite 3.", "cores", "memory", "user namespaces",
                           "control groups", "GFLOP/s on 1 threads"}) {
    INFO(part);
    CHECK(contains(result.out, part));
  }
  CHECK_FALSE(contains(temper_with({"doctor", "--no-measure"}).out, "GFLOP"));
}
