#pragma once

#include <memory>
#include <string>

#include "client/node_api.h"
#include "node/os/process.h"
#include "node/runtime/runtime.h"

namespace gantry::node {

// A file for the runtime that describes the process to execute; the caller removes it.
Result<std::string> WriteExecProcess(const std::string& bundle, const std::string& process);

// Runs the runtime's exec command (`options.argv` without the container's id) and wires its streams
// or its terminal up. The process file is removed when the session ends. With `console_socket`, a
// path that is free, the runtime makes the terminal and hands it over there; without, the runtime
// gets one as its own. `env` outlives the session.
Task<Result<std::unique_ptr<client::ExecSession>>> StartExec(Env& env, ProcessOptions options,
                                                             ExecRequest request,
                                                             std::string process_file,
                                                             std::string console_socket);

// A session that says why there is none.
std::unique_ptr<client::ExecSession> FailedExec(Status why);

// A session over the monitor's attach socket. `env` and `runtime` outlive the session.
Task<Result<std::unique_ptr<client::ExecSession>>> AttachTo(Env& env, Runtime& runtime,
                                                            std::string bundle, bool stdin_open,
                                                            bool terminal);

// One command to the container's monitor.
Status WriteControl(const std::string& bundle, const std::string& command);

}  // namespace gantry::node
