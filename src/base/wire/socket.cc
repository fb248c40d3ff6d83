#include "base/wire/socket.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <utility>
#include <vector>

#include "base/wire/deadline.h"

namespace gantry::wire {
namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

constexpr size_t kRecordBytes = 16 * 1024;
// What is encrypted and sent in one go.
constexpr size_t kGatherBytes = 64 * 1024;

// A BIO straight onto the socket. OpenSSL's own one uses write(), which raises SIGPIPE.
struct Wire {
  int fd = -1;
  bool end = false;
  std::string* gather = nullptr;  // where records are collected, to be sent in one go
  std::string unsent;             // of such records: what the kernel had no room for
};

int WireWrite(BIO* bio, const char* data, int size) {
  auto* wire = static_cast<Wire*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  std::string* const later = !wire->unsent.empty() ? &wire->unsent : wire->gather;
  if (later != nullptr) {
    later->append(data, static_cast<size_t>(size));
    return size;
  }
  ssize_t sent;
  do {
    sent = ::send(wire->fd, data, static_cast<size_t>(size), MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) BIO_set_retry_write(bio);
  return static_cast<int>(sent);
}

int WireRead(BIO* bio, char* data, int size) {
  auto* wire = static_cast<Wire*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  ssize_t got;
  do {
    got = ::recv(wire->fd, data, static_cast<size_t>(size), 0);
  } while (got < 0 && errno == EINTR);
  if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) BIO_set_retry_read(bio);
  if (got == 0) wire->end = true;
  return static_cast<int>(got);
}

long WireControl(BIO* bio, int command, long, void*) {
  switch (command) {
    case BIO_CTRL_FLUSH:
      return 1;
    case BIO_CTRL_EOF:
      return static_cast<Wire*>(BIO_get_data(bio))->end ? 1 : 0;
    default:
      return 0;
  }
}

BIO_METHOD* WireMethod() {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "gantry socket");
    BIO_meth_set_write(made, WireWrite);
    BIO_meth_set_read(made, WireRead);
    BIO_meth_set_ctrl(made, WireControl);
    return made;
  }();
  return method;
}

std::string AddressText(const sockaddr_storage& storage) {
  char text[INET6_ADDRSTRLEN] = "";
  if (storage.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(storage);
    inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
    return std::string(text) + ":" + std::to_string(ntohs(v4.sin_port));
  }
  if (storage.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(storage);
    if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
      inet_ntop(AF_INET, v6.sin6_addr.s6_addr + 12, text, sizeof text);
      return std::string(text) + ":" + std::to_string(ntohs(v6.sin6_port));
    }
    inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
    return "[" + std::string(text) + "]:" + std::to_string(ntohs(v6.sin6_port));
  }
  return "";
}

int64_t UnixSeconds(const ASN1_TIME* time) {
  tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return 0;
  return timegm(&parts);
}

std::string NameText(const ASN1_STRING* text) {
  unsigned char* utf8 = nullptr;
  const int length = ASN1_STRING_to_UTF8(&utf8, text);
  if (length < 0) return "";
  std::string out(reinterpret_cast<char*>(utf8), static_cast<size_t>(length));
  OPENSSL_free(utf8);
  return out;
}

bool IsAddress(const std::string& host) {
  unsigned char buffer[16];
  return inet_pton(AF_INET, host.c_str(), buffer) == 1 ||
         inet_pton(AF_INET6, host.c_str(), buffer) == 1;
}

void SetTcpOptions(int fd) {
  const int on = 1, idle_s = 30, interval_s = 15, count = 4;
  const unsigned int unacknowledged_ms = 120'000;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof interval_s);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
  setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacknowledged_ms, sizeof unacknowledged_ms);
}

}  // namespace

struct Socket::Impl {
  Impl(Executor strand, std::shared_ptr<const TlsContext> tls)
      : executor(strand), socket(std::move(strand)), context(std::move(tls)) {}
  ~Impl() {
    if (ssl) SSL_free(ssl);
  }

  IoResult TlsOutcome(int returned) {
    switch (SSL_get_error(ssl, returned)) {
      case SSL_ERROR_WANT_READ:
        return {IoState::kWouldBlock};
      case SSL_ERROR_WANT_WRITE:
        return {IoState::kWouldBlock, 0, true};
      case SSL_ERROR_ZERO_RETURN:
        return {IoState::kEnd};
      case SSL_ERROR_SYSCALL:
        failure = errno != 0 ? std::strerror(errno) : "unexpected EOF";
        return {IoState::kFailed};
      default: {
        const long verified = SSL_get_verify_result(ssl);
        failure = TlsErrorText();
        if (!context->server() && verified != X509_V_OK && !handshaken) {
          failure = std::string("tls: failed to verify certificate: x509: ") +
                    X509_verify_cert_error_string(verified);
        }
        return {IoState::kFailed};
      }
    }
  }

  // Several records, sent together: a system call for each of them costs more than to encrypt it.
  // Once OpenSSL has taken the bytes they are not given to it again; so what the kernel has no room
  // for stays with us, and the write is done when it has gone.
  IoResult WriteRecords(std::string_view bytes) {
    thread_local std::string records;
    records.clear();
    wire.gather = &records;
    size_t taken = 0;
    const int returned = SSL_write_ex(ssl, bytes.data(), bytes.size(), &taken);
    wire.gather = nullptr;
    if (returned != 1) return TlsOutcome(returned);
    const IoResult sent = PlainOutcome(Send(records), true);
    if (sent.state == IoState::kFailed) return sent;
    if (sent.bytes == records.size()) return {IoState::kDone, taken};
    wire.unsent = records.substr(sent.bytes);
    unsent_done = taken;
    return {IoState::kWouldBlock, 0, true};
  }

  IoResult WriteUnsent() {
    const IoResult sent = PlainOutcome(Send(wire.unsent), true);
    if (sent.state != IoState::kDone) return sent;
    wire.unsent.erase(0, sent.bytes);
    if (!wire.unsent.empty()) return {IoState::kWouldBlock, 0, true};
    std::string().swap(wire.unsent);
    return {IoState::kDone, std::exchange(unsent_done, 0)};
  }

  ssize_t Send(std::string_view bytes) {
    ssize_t sent;
    do {
      sent = ::send(wire.fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent;
  }

  IoResult PlainOutcome(ssize_t moved, bool writing) {
    if (moved > 0) return {IoState::kDone, static_cast<size_t>(moved)};
    if (moved == 0) return {writing ? IoState::kDone : IoState::kEnd};
    if (errno == EAGAIN || errno == EWOULDBLOCK) return {IoState::kWouldBlock, 0, writing};
    failure = std::strerror(errno);
    return {IoState::kFailed};
  }

  Executor executor;
  tcp::socket socket;
  std::shared_ptr<const TlsContext> context;
  SSL* ssl = nullptr;
  Wire wire;
  bool handshaken = false;
  bool shut = false;
  size_t unsent_done = 0;  // bytes of the caller's that wire.unsent completes
  std::string failure;
};

Socket::Socket(Executor strand, int fd, std::shared_ptr<const TlsContext> tls,
               std::string_view server_name)
    : impl_(std::make_unique<Impl>(std::move(strand), std::move(tls))) {
  error_code ignored;
  sockaddr_storage local{};
  socklen_t length = sizeof local;
  getsockname(fd, reinterpret_cast<sockaddr*>(&local), &length);
  impl_->socket.assign(local.ss_family == AF_INET6 ? tcp::v6() : tcp::v4(), fd, ignored);
  impl_->socket.non_blocking(true, ignored);
  SetTcpOptions(fd);
  impl_->wire.fd = fd;
  if (!impl_->context) return;
  SSL* ssl = SSL_new(impl_->context->native());
  impl_->ssl = ssl;
  BIO* bio = BIO_new(WireMethod());
  BIO_set_data(bio, &impl_->wire);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl, bio, bio);
  if (impl_->context->server()) {
    SSL_set_accept_state(ssl);
    return;
  }
  SSL_set_connect_state(ssl);
  if (server_name.empty()) return;
  const std::string name(server_name);
  if (IsAddress(name)) {
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name.c_str());
  } else {
    SSL_set_tlsext_host_name(ssl, name.c_str());
    SSL_set1_host(ssl, name.c_str());
  }
}

Socket::~Socket() { Close(); }

void Socket::OfferHttp1Only() {
  static constexpr unsigned char kHttp1[] = "\x08http/1.1";
  if (impl_->ssl) SSL_set_alpn_protos(impl_->ssl, kHttp1, sizeof kHttp1 - 1);
}

IoResult Socket::Handshake() {
  if (!impl_->ssl) return {IoState::kDone};
  if (closed()) return {IoState::kFailed};
  ERR_clear_error();
  errno = 0;
  const int returned = SSL_do_handshake(impl_->ssl);
  if (returned != 1) return impl_->TlsOutcome(returned);
  impl_->handshaken = true;
  return {IoState::kDone};
}

IoResult Socket::Read(std::span<char> into) {
  if (closed()) return {IoState::kFailed};
  if (!impl_->ssl)
    return impl_->PlainOutcome(::recv(impl_->wire.fd, into.data(), into.size(), 0), false);
  ERR_clear_error();
  errno = 0;
  size_t got = 0;
  const int returned = SSL_read_ex(impl_->ssl, into.data(), into.size(), &got);
  if (returned == 1) return {IoState::kDone, got};
  return impl_->TlsOutcome(returned);
}

IoResult Socket::Write(std::string_view bytes) {
  if (closed()) return {IoState::kFailed};
  if (bytes.empty()) return {IoState::kDone};
  if (!impl_->ssl) return impl_->PlainOutcome(impl_->Send(bytes), true);
  ERR_clear_error();
  errno = 0;
  if (!impl_->wire.unsent.empty()) return impl_->WriteUnsent();
  if (bytes.size() > kRecordBytes) return impl_->WriteRecords(bytes.substr(0, kGatherBytes));
  size_t sent = 0;
  const int returned = SSL_write_ex(impl_->ssl, bytes.data(), bytes.size(), &sent);
  if (returned == 1) return {IoState::kDone, sent};
  return impl_->TlsOutcome(returned);
}

bool Socket::HasBuffered() const {
  return impl_->ssl && !closed() && SSL_has_pending(impl_->ssl) == 1;
}

void Socket::ShutdownWrite() {
  if (closed() || impl_->shut) return;
  impl_->shut = true;
  if (impl_->ssl && impl_->handshaken) {
    ERR_clear_error();
    SSL_shutdown(impl_->ssl);
  }
  error_code ignored;
  impl_->socket.shutdown(tcp::socket::shutdown_send, ignored);
}

void Socket::Close() {
  if (closed()) return;
  if (impl_->ssl && impl_->handshaken && !impl_->shut) {
    ERR_clear_error();
    SSL_shutdown(impl_->ssl);
  }
  error_code ignored;
  impl_->socket.close(ignored);
}

bool Socket::closed() const { return !impl_->socket.is_open(); }

void Socket::WaitReadable(absl::AnyInvocable<void(bool)> call) {
  impl_->socket.async_wait(tcp::socket::wait_read,
                           [call = std::move(call)](error_code error) mutable { call(!error); });
}

void Socket::WaitWritable(absl::AnyInvocable<void(bool)> call) {
  impl_->socket.async_wait(tcp::socket::wait_write,
                           [call = std::move(call)](error_code error) mutable { call(!error); });
}

Task<bool> Socket::Readable() {
  error_code error;
  co_await impl_->socket.async_wait(tcp::socket::wait_read,
                                    asio::redirect_error(asio::use_awaitable, error));
  co_return !error;
}

Task<bool> Socket::Writable() {
  error_code error;
  co_await impl_->socket.async_wait(tcp::socket::wait_write,
                                    asio::redirect_error(asio::use_awaitable, error));
  co_return !error;
}

bool Socket::tls() const { return impl_->ssl != nullptr; }

bool Socket::negotiated_http2() const {
  if (!impl_->ssl) return false;
  const unsigned char* protocol = nullptr;
  unsigned int length = 0;
  SSL_get0_alpn_selected(impl_->ssl, &protocol, &length);
  return std::string_view(reinterpret_cast<const char*>(protocol), length) == "h2";
}

TlsPeer Socket::peer() const {
  TlsPeer out;
  if (!impl_->ssl) return out;
  X509* certificate = SSL_get0_peer_certificate(impl_->ssl);
  if (!certificate) return out;
  out.certificate_shown = true;
  if (const long verified = SSL_get_verify_result(impl_->ssl); verified != X509_V_OK) {
    out.error = X509_verify_cert_error_string(verified);
  }
  out.not_before = UnixSeconds(X509_get0_notBefore(certificate));
  out.not_after = UnixSeconds(X509_get0_notAfter(certificate));
  const X509_NAME* subject = X509_get_subject_name(certificate);
  for (int i = 0; i < X509_NAME_entry_count(subject); ++i) {
    const X509_NAME_ENTRY* entry = X509_NAME_get_entry(subject, i);
    const int kind = OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry));
    if (kind == NID_commonName) out.common_name = NameText(X509_NAME_ENTRY_get_data(entry));
    if (kind == NID_organizationName)
      out.organizations.push_back(NameText(X509_NAME_ENTRY_get_data(entry)));
  }
  return out;
}

std::string Socket::remote_address() const {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  if (closed() || getpeername(impl_->wire.fd, reinterpret_cast<sockaddr*>(&storage), &length) != 0)
    return "";
  return AddressText(storage);
}

std::string Socket::local_address() const {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  if (closed() || getsockname(impl_->wire.fd, reinterpret_cast<sockaddr*>(&storage), &length) != 0)
    return "";
  return AddressText(storage);
}

std::string Socket::error() const { return impl_->failure; }
const Executor& Socket::executor() const { return impl_->executor; }

size_t Socket::Peek(std::span<char> into) const {
  const ssize_t got = ::recv(impl_->wire.fd, into.data(), into.size(), MSG_PEEK | MSG_DONTWAIT);
  return got > 0 ? static_cast<size_t>(got) : 0;
}

void Socket::WriteRaw(std::string_view bytes) {
  [[maybe_unused]] ssize_t sent = ::send(impl_->wire.fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
}

namespace {

class SocketStream : public Stream {
 public:
  SocketStream(std::shared_ptr<Socket> socket, std::string read_ahead)
      : socket_(std::move(socket)), read_ahead_(std::move(read_ahead)) {}
  ~SocketStream() override { socket_->Close(); }

  Task<Result<size_t>> Read(std::span<char> into) override {
    if (into.empty()) co_return size_t{0};
    if (ahead_at_ < read_ahead_.size()) {
      const size_t count = std::min(into.size(), read_ahead_.size() - ahead_at_);
      std::memcpy(into.data(), read_ahead_.data() + ahead_at_, count);
      ahead_at_ += count;
      if (ahead_at_ == read_ahead_.size()) std::string().swap(read_ahead_), ahead_at_ = 0;
      co_return count;
    }
    while (true) {
      if (socket_->closed()) co_return Canceled("the connection was closed");
      const IoResult io = socket_->Read(into);
      if (io.state == IoState::kDone) co_return io.bytes;
      if (io.state == IoState::kEnd) co_return size_t{0};
      if (io.state == IoState::kFailed) co_return Unavailable("read: " + socket_->error());
      const bool ready =
          io.wants_write ? co_await socket_->Writable() : co_await socket_->Readable();
      if (!ready) co_return Canceled("the connection was closed");
    }
  }

  Task<Status> Write(std::string_view bytes) override {
    while (!bytes.empty()) {
      if (socket_->closed()) co_return Canceled("the connection was closed");
      const IoResult io = socket_->Write(bytes);
      if (io.state == IoState::kDone) {
        bytes.remove_prefix(io.bytes);
        continue;
      }
      if (io.state != IoState::kWouldBlock) co_return Unavailable("write: " + socket_->error());
      const bool ready =
          io.wants_write ? co_await socket_->Writable() : co_await socket_->Readable();
      if (!ready) co_return Canceled("the connection was closed");
    }
    co_return Status::Ok();
  }

  Task<Status> CloseWrite() override {
    socket_->ShutdownWrite();
    co_return Status::Ok();
  }

  void Close() override { socket_->Close(); }

 private:
  std::shared_ptr<Socket> socket_;
  std::string read_ahead_;
  size_t ahead_at_ = 0;
};

std::string DialContext(const std::string& host, uint16_t port) {
  const bool v6 = host.find(':') != std::string::npos;
  return "dial tcp " + (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

std::string LowerFirst(std::string text) {
  if (!text.empty() && text[0] >= 'A' && text[0] <= 'Z') text[0] = static_cast<char>(text[0] + 32);
  return text;
}

// The addresses of a name, or of an address written out.
Task<Result<std::vector<tcp::endpoint>>> Resolve(Executor strand, std::string host, uint16_t port) {
  error_code error;
  std::vector<tcp::endpoint> endpoints;
  if (auto address = asio::ip::make_address(host, error); !error) {
    endpoints.emplace_back(address, port);
    co_return endpoints;
  }
  error.clear();
  tcp::resolver resolver(strand);
  auto found = co_await resolver.async_resolve(host, std::to_string(port),
                                               asio::redirect_error(asio::use_awaitable, error));
  if (error) co_return Unavailable("dial tcp: lookup " + host + ": no such host");
  for (const auto& entry : found)
    endpoints.push_back(entry.endpoint());
  co_return endpoints;
}

// A connected file descriptor.
Task<Result<int>> Connect(Env& env, Executor strand, std::vector<tcp::endpoint> endpoints,
                          SteadyTime deadline, std::string context) {
  auto socket = std::make_shared<tcp::socket>(strand);
  Deadline timeout(env, strand, deadline, [socket] {
    error_code ignored;
    socket->close(ignored);
  });
  error_code error = asio::error::host_not_found;
  for (const tcp::endpoint& endpoint : endpoints) {
    error_code ignored;
    socket->close(ignored);
    co_await socket->async_connect(endpoint, asio::redirect_error(asio::use_awaitable, error));
    if (!error || timeout.expired()) break;
  }
  if (timeout.expired()) co_return Unavailable(context + ": i/o timeout");
  if (error) co_return Unavailable(context + ": connect: " + LowerFirst(error.message()));
  const int fd = socket->release(error);
  if (error) co_return Unavailable(context + ": " + error.message());
  co_return fd;
}

Task<Status> CompleteHandshake(Env& env, std::shared_ptr<Socket> socket, SteadyTime deadline,
                               std::string context) {
  Deadline timeout(env, socket->executor(), deadline, [socket] { socket->Close(); });
  while (true) {
    const IoResult io = socket->Handshake();
    if (io.state == IoState::kDone) co_return Status::Ok();
    if (io.state == IoState::kWouldBlock) {
      const bool ready = io.wants_write ? co_await socket->Writable() : co_await socket->Readable();
      if (ready) continue;
    }
    if (timeout.expired()) co_return Unavailable(context + ": net/http: TLS handshake timeout");
    std::string why = io.state == IoState::kEnd ? "EOF" : socket->error();
    if (why.empty()) why = "TLS handshake failed";
    socket->Close();
    co_return Unavailable(context + ": " + why);
  }
}

}  // namespace

std::unique_ptr<Stream> MakeStream(std::shared_ptr<Socket> socket, std::string read_ahead) {
  return std::make_unique<SocketStream>(std::move(socket), std::move(read_ahead));
}

Task<Result<std::shared_ptr<Socket>>> Dial(Env& env, DialOptions options) {
  const Executor strand = co_await asio::this_coro::executor;
  const std::string context = DialContext(options.host, options.port);
  const SteadyTime deadline = env.Steady() + options.timeout;
  GANTRY_CO_ASSIGN(std::vector<tcp::endpoint> endpoints,
                   co_await Resolve(strand, options.host, options.port));
  GANTRY_CO_ASSIGN(const int fd,
                   co_await Connect(env, strand, std::move(endpoints), deadline, context));
  const std::string& name = options.server_name.empty() ? options.host : options.server_name;
  auto socket = std::make_shared<Socket>(strand, fd, options.tls, name);
  if (options.http1_only) socket->OfferHttp1Only();
  GANTRY_CO_TRY(co_await CompleteHandshake(env, socket, deadline, context));
  co_return socket;
}

}  // namespace gantry::wire
