#pragma once

#include <boost/asio/ip/tcp.hpp>

#include <memory>
#include <string>

#include "base/env/stream.h"

namespace gantry::node {

// A connected TCP socket as a Stream.
std::unique_ptr<Stream> MakeSocketStream(boost::asio::ip::tcp::socket socket);

// Connects from within a network namespace (empty path: the host's).
Task<Result<std::unique_ptr<Stream>>> ConnectFrom(std::string namespace_path, std::string address,
                                                  uint16_t port);

}  // namespace gantry::node
