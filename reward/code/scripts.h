// The Python programs of the code judge, as texts.
#pragma once

#include <string>
#include <string_view>

namespace temper {

// Runs inside the sandbox with the answer: executes prompt.py and answer.py, then does what the
// lines on descriptor 3 ask (Python expressions) and writes values on descriptor 4 (JSON with type
// tags). It knows no test and no expected value, so nothing is lost if the answer takes it over.
std::string_view candidate_script();

// What the former needs where a test uses a class of the answer's: what its objects hold, and
// whether its constructor does nothing but keep what it is given.
std::string_view candidate_classes_script();

// Runs in a sandbox of its own, with tests and reference that the data gives and that are trusted:
// the only place where values are compared. Each job is done in a fresh child. Names of the tests
// that belong to the answer are stand-ins that ask for plain values through the judge.
std::string checker_script();

// Its parts but for the last, which runs the tests: values in both directions; stand-ins for the
// answer's objects; stand-ins for its classes and exceptions, and what makes two objects equal.
std::string_view checker_values_script();
std::string_view checker_stand_ins_script();
std::string_view checker_classes_script();

// Runs in a sandbox of its own with the right to seal others (WarmPython): takes requests on
// descriptor 3 and forks a child for each, which seals itself and then is the program. Descriptor 4
// is the machine's /proc, through which a child maps its user.
std::string_view warm_python_script();

}  // namespace temper
