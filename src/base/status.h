#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace gantry {

// Why an operation failed. The names down to kGone are the reasons of metav1.Status and map one to
// one to an HTTP status (see HttpStatus); the rest never leave the process under that name.
enum class Code : uint8_t {
  kOk,
  kBadRequest,
  kUnauthorized,
  kForbidden,
  kNotFound,
  kMethodNotAllowed,
  kNotAcceptable,
  kAlreadyExists,
  kConflict,
  kGone,
  kExpired,
  kInvalid,
  kRequestEntityTooLarge,
  kUnsupportedMediaType,
  kTooManyRequests,
  kInternalError,
  kServiceUnavailable,
  kServerTimeout,
  kTimeout,
  kUnknown,   // HTTP 500 without a reason: what kube-apiserver makes of errors that are not its own
  kCanceled,  // the caller gave up
  kUnavailable,  // a peer or a device does not answer; worth another try
  kDataLoss,     // what was read cannot be what was written
};

// The metav1 reason ("NotFound") and the HTTP status (404) of a code.
std::string_view ReasonOf(Code code);
int HttpStatusOf(Code code);

// One entry of metav1.Status details.causes.
struct StatusCause {
  std::string reason;  // "FieldValueInvalid"
  std::string message;
  std::string field;  // "spec.replicas"
};

// What metav1.Status details say beside the message. All of it is optional.
struct StatusDetails {
  std::string group;
  std::string kind;  // for most reasons this is the resource ("pods"), as kube-apiserver has it
  std::string name;
  std::string uid;
  std::vector<StatusCause> causes;
  int retry_after_seconds = 0;
};

// Success, or a failure with a reason and a message that says what was tried and why it failed.
// Threading: a value. Copying an error shares it.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Code code, std::string message);
  Status(Code code, std::string message, StatusDetails details);

  static Status Ok() { return {}; }

  bool ok() const { return rep_ == nullptr; }
  Code code() const { return rep_ ? rep_->code : Code::kOk; }
  const std::string& message() const;
  // Never null; empty where none was given.
  const StatusDetails& details() const;

  // The same failure with "context: " before its message. Success stays success.
  Status WithContext(std::string_view context) const;
  Status WithDetails(StatusDetails details) const;

  // "NotFound: pods "a" not found", for logs.
  std::string ToString() const;

 private:
  struct Rep {
    Code code;
    std::string message;
    StatusDetails details;
  };
  std::shared_ptr<const Rep> rep_;
};

Status InternalError(std::string message);
Status BadRequest(std::string message);
Status Unavailable(std::string message);
Status Canceled(std::string message);
Status DataLoss(std::string message);
// From errno: "open /x: No such file or directory". ENOENT is kNotFound, EEXIST kAlreadyExists,
// EACCES and EPERM kForbidden, all others kInternalError.
Status FromErrno(int error, std::string_view what);

// A value or the reason why there is none. Threading: a value.
template <class T>
class [[nodiscard]] Result {
 public:
  using value_type = T;

  Result(T value)
      : state_(std::in_place_index<1>, std::move(value)) {}  // NOLINT: implicit on purpose
  Result(Status error) : state_(std::in_place_index<0>, std::move(error)) {}  // NOLINT
  template <class U>
    requires(std::is_convertible_v<U, T> && !std::is_same_v<std::remove_cvref_t<U>, T> &&
             !std::is_same_v<std::remove_cvref_t<U>, Status> &&
             !std::is_same_v<std::remove_cvref_t<U>, Result>)
  Result(U&& value)  // NOLINT
      : state_(std::in_place_index<1>, T(std::forward<U>(value))) {}

  bool ok() const { return state_.index() == 1; }
  explicit operator bool() const { return ok(); }
  Code code() const { return ok() ? Code::kOk : std::get<0>(state_).code(); }
  Status status() const { return ok() ? Status() : std::get<0>(state_); }

  T& value() & { return std::get<1>(state_); }
  const T& value() const& { return std::get<1>(state_); }
  T&& value() && { return std::get<1>(std::move(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  T value_or(T fallback) && { return ok() ? std::move(*this).value() : std::move(fallback); }

 private:
  std::variant<Status, T> state_;
};

}  // namespace gantry

#define GANTRY_CONCAT_INNER(a, b) a##b
#define GANTRY_CONCAT(a, b) GANTRY_CONCAT_INNER(a, b)

// Returns the failure of a Status or Result expression from the enclosing function.
#define GANTRY_TRY(expr)                                                              \
  do {                                                                                \
    if (auto gantry_status = ::gantry::internal::StatusOf(expr); !gantry_status.ok()) \
      return gantry_status;                                                           \
  } while (false)
#define GANTRY_CO_TRY(expr)                                                           \
  do {                                                                                \
    if (auto gantry_status = ::gantry::internal::StatusOf(expr); !gantry_status.ok()) \
      co_return gantry_status;                                                        \
  } while (false)

// GANTRY_ASSIGN(auto x, Compute()): x is the value, or the failure is returned.
#define GANTRY_ASSIGN_IMPL(ret, tmp, decl, expr) \
  auto tmp = (expr);                             \
  if (!tmp.ok()) ret tmp.status();               \
  decl = std::move(tmp).value()
#define GANTRY_ASSIGN(decl, expr) \
  GANTRY_ASSIGN_IMPL(return, GANTRY_CONCAT(gantry_result_, __LINE__), decl, expr)
#define GANTRY_CO_ASSIGN(decl, expr) \
  GANTRY_ASSIGN_IMPL(co_return, GANTRY_CONCAT(gantry_result_, __LINE__), decl, expr)

namespace gantry::internal {
inline Status StatusOf(Status status) { return status; }
template <class T>
Status StatusOf(const Result<T>& result) {
  return result.status();
}
}  // namespace gantry::internal
