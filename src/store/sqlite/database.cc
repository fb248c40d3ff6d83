#include "store/sqlite/database.h"

#include <sqlite3.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace gantry::store {
namespace {

Status NoRoom(const std::string& reason) {
  return Status(Code::kServiceUnavailable, "the disk is full (" + reason + ")");
}

}  // namespace

Statement::Statement(Statement&& other) noexcept
    : database_(std::exchange(other.database_, nullptr)),
      statement_(std::exchange(other.statement_, nullptr)) {}

Statement& Statement::operator=(Statement&& other) noexcept {
  std::swap(database_, other.database_);
  std::swap(statement_, other.statement_);
  return *this;
}

Statement::~Statement() { sqlite3_finalize(statement_); }

void Statement::BindInt(int index, int64_t value) { sqlite3_bind_int64(statement_, index, value); }

void Statement::BindText(int index, std::string_view value) {
  sqlite3_bind_text64(statement_, index, value.data(), value.size(), SQLITE_STATIC, SQLITE_UTF8);
}

void Statement::BindBlob(int index, std::string_view value) {
  // A null pointer would bind NULL rather than an empty blob.
  sqlite3_bind_blob64(statement_, index, value.empty() ? "" : value.data(), value.size(),
                      SQLITE_STATIC);
}

void Statement::BindNull(int index) { sqlite3_bind_null(statement_, index); }

Result<bool> Statement::Step() {
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return Database::ToStatus(database_, code);
}

void Statement::Reset() { sqlite3_reset(statement_); }

Status Statement::Run() {
  Status status;
  while (true) {
    Result<bool> row = Step();
    status = row.status();
    if (!row.ok() || !*row) break;
  }
  Reset();
  return status;
}

int64_t Statement::Int(int column) const { return sqlite3_column_int64(statement_, column); }

std::string_view Statement::Bytes(int column) const {
  const void* data = sqlite3_column_blob(statement_, column);
  const int size = sqlite3_column_bytes(statement_, column);
  return data ? std::string_view(static_cast<const char*>(data), static_cast<size_t>(size))
              : std::string_view();
}

bool Statement::IsNull(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

Status Database::ToStatus(sqlite3* handle, int code) {
  const std::string text = handle ? sqlite3_errmsg(handle) : sqlite3_errstr(code);
  switch (code & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return DataLoss(text);
    case SQLITE_FULL:
      return NoRoom(text);
    case SQLITE_IOERR: {
      const int error = handle ? sqlite3_system_errno(handle) : 0;
      // SQLite knows ENOSPC only, and only of writes.
      if (code == SQLITE_IOERR_WRITE && error == EDQUOT) return NoRoom(std::strerror(error));
      return Unavailable(error != 0 ? text + ": " + std::strerror(error) : text);
    }
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
      return Status(Code::kForbidden, text);
    case SQLITE_CANTOPEN: {
      const int error = handle ? sqlite3_system_errno(handle) : 0;
      return error != 0 ? FromErrno(error, text) : Unavailable(text);
    }
    default:
      return Unavailable(text);
  }
}

Result<Database> Database::Open(const std::string& path, const std::string& vfs) {
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  sqlite3* handle = nullptr;
  const int code =
      sqlite3_open_v2(path.c_str(), &handle, flags, vfs.empty() ? nullptr : vfs.c_str());
  Database database(handle);  // also when it failed, to close it
  if (code != SQLITE_OK) return ToStatus(handle, code);
  sqlite3_busy_timeout(handle, 10'000);
  return database;
}

Database::Database(Database&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}

Database& Database::operator=(Database&& other) noexcept {
  std::swap(handle_, other.handle_);
  return *this;
}

Database::~Database() { sqlite3_close_v2(handle_); }

Status Database::Execute(const std::string& sql) {
  const int code = sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr);
  return code == SQLITE_OK ? Status::Ok() : ToStatus(handle_, code);
}

Result<Statement> Database::Prepare(const std::string& sql) {
  Statement statement;
  statement.database_ = handle_;
  const int code = sqlite3_prepare_v3(handle_, sql.c_str(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &statement.statement_, nullptr);
  if (code != SQLITE_OK) return ToStatus(handle_, code);
  return statement;
}

bool Database::in_transaction() const { return sqlite3_get_autocommit(handle_) == 0; }

Result<int64_t> Database::QueryInt(const std::string& sql) {
  GANTRY_ASSIGN(Statement statement, Prepare(sql));
  GANTRY_ASSIGN(bool row, statement.Step());
  if (!row) return DataLoss("no row where one was expected");
  return statement.Int(0);
}

Result<std::string> Database::QueryText(const std::string& sql) {
  GANTRY_ASSIGN(Statement statement, Prepare(sql));
  GANTRY_ASSIGN(bool row, statement.Step());
  if (!row) return DataLoss("no row where one was expected");
  return std::string(statement.Bytes(0));
}

}  // namespace gantry::store
