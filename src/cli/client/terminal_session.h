#pragma once

#include <string>

#include "base/status.h"

namespace gantry::cli {

class Connection;

// Joins standard input (when `with_stdin`), output and error to what runs behind `target`, an exec
// or attach request, until that ends; with `tty` the terminal is raw meanwhile and its size is
// told. Gives the program's exit code. Blocks; once in a process.
Result<int> RunTerminalSession(Connection& connection, const std::string& target, bool with_stdin,
                               bool tty);
bool StdinIsTerminal();

}  // namespace gantry::cli
