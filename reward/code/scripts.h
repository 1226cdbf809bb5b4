// The Python programs of the code judge, as texts.
#pragma once

#include <string_view>

namespace temper {

// Runs inside the sandbox with the answer: executes prompt.py and answer.py, then does what the
// lines on descriptor 3 ask (Python expressions) and writes values on descriptor 4 (JSON with type
// tags). It knows no test and no expected value, so nothing is lost if the answer takes it over.
std::string_view candidate_script();

// Runs in a sandbox of its own, with tests and reference that the data gives and that are trusted:
// the only place where values are compared. Each job is done in a fresh child. Names of the tests
// that belong to the answer are stand-ins that ask for plain values through the judge.
std::string_view checker_script();

// Runs in a sandbox of its own with the right to seal others (WarmPython): takes requests on
// descriptor 3 and forks a child for each, which seals itself and then is the program. Descriptor 4
// is the machine's /proc, through which a child maps its user.
std::string_view warm_python_script();

}  // namespace temper
