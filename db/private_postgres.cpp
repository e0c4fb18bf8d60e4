#include "db/private_postgres.hpp"

#include "domain/log.hpp"

#include <fcntl.h>
#include <grp.h>
#include <libpq-fe.h>
#include <poll.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <fstream>
#include <optional>
#include <sstream>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace skyengine::db {

namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr auto account_for_root = "postgres";
constexpr auto role = "skyengine";
constexpr auto database_name = "skyengine";
/// A socket's address has room for 107 bytes; the rest is for the name PostgreSQL gives it.
constexpr std::size_t longest_socket_path = 100;
constexpr std::string_view socket_name = "/.s.PGSQL.5432";
/// After a crash PostgreSQL replays its log before it answers.
constexpr auto longest_start = 300s;
constexpr auto longest_stop = 60s;
/// Server processes whose postmaster was killed notice it within moments.
constexpr auto longest_wait_for_orphans = 30s;
constexpr auto longest_death = 2s;
constexpr std::uintmax_t largest_log = 1U << 20U;

error refused(std::string detail) {
  return {errc::database_unavailable, std::move(detail)};
}

error refused(const std::string& doing, const fs::path& path, int code) {
  return refused(doing + ' ' + path.string() + " failed: " + std::generic_category().message(code) + '.');
}

/// A file descriptor that is closed with it.
class descriptor {
public:
  explicit descriptor(int fd = -1) noexcept : fd_(fd) {}
  descriptor(descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  descriptor& operator=(descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~descriptor() { close(); }
  int get() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }
  void close() noexcept {
    if (fd_ >= 0)
      ::close(std::exchange(fd_, -1));
  }

private:
  int fd_;
};

/// Whom the server runs as: ourselves, unless we are root; then the one whose folder it is, else `postgres`.
struct account {
  uid_t user = geteuid();
  gid_t group = getegid();
  std::vector<gid_t> groups;
  bool is_other = false;
};

result<account> find_account(const fs::path& folder) {
  account found;
  if (found.user != 0)
    return found;
  struct stat state {};
  if (lstat(folder.c_str(), &state) == 0 && S_ISDIR(state.st_mode) && state.st_uid != 0) {
    found.user = state.st_uid;
    found.group = state.st_gid;
    found.groups = {state.st_gid};
    found.is_other = true;
    return found;
  }
  passwd known{};
  passwd* entry = nullptr;
  std::array<char, 16384> texts{};
  if (getpwnam_r(account_for_root, &known, texts.data(), texts.size(), &entry) != 0 || entry == nullptr)
    return refused(
      "PostgreSQL does not run as root, and there is no account \"postgres\" to run it as: install "
      "PostgreSQL's package, or start this program as another user.");
  found.user = entry->pw_uid;
  found.group = entry->pw_gid;
  found.is_other = true;
  int count = 64;
  found.groups.resize(static_cast<std::size_t>(count));
  if (getgrouplist(account_for_root, found.group, found.groups.data(), &count) < 0)
    count = 1;
  found.groups.resize(static_cast<std::size_t>(count));
  return found;
}

/// In a child between fork and exec: nothing that allocates.
bool become(const account& who) noexcept {
  return !who.is_other || (setgroups(who.groups.size(), who.groups.data()) == 0 && setgid(who.group) == 0 &&
                           setuid(who.user) == 0);
}

int exit_status_of(pid_t child) noexcept {
  int status = 0;
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR)
      return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/// A program's words and variables, ready to be used between fork and exec.
class command {
public:
  explicit command(std::vector<std::string> words) : words_(std::move(words)) {
    for (auto& word : words_)
      arguments_.push_back(word.data());
    arguments_.push_back(nullptr);
    for (auto& variable : variables_)
      environment_.push_back(variable.data());
    environment_.push_back(nullptr);
  }

  /// None of our variables reaches it: PostgreSQL's programs take some for settings.
  [[noreturn]] void become_it() noexcept {
    sigset_t none;
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, nullptr);
    if (chdir("/") == 0)
      execvpe(arguments_.front(), arguments_.data(), environment_.data());
    _exit(127);
  }

private:
  std::vector<std::string> words_;
  std::vector<std::string> variables_{"LC_ALL=C", "PATH=/usr/local/bin:/usr/bin:/bin"};
  std::vector<char*> arguments_;
  std::vector<char*> environment_;
};

struct command_outcome {
  int status = -1;
  std::string output;
};

/// Runs a program to its end, in a session of its own and without our descriptors.
command_outcome run_command(const account& who, const std::vector<std::string>& words) {
  command prepared{words};
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0)
    return {-1, std::generic_category().message(errno)};
  const descriptor output{ends[0]};
  descriptor input{ends[1]};
  const auto child = fork();
  if (child < 0)
    return {-1, std::generic_category().message(errno)};
  if (child == 0) {
    setsid();
    const auto nothing = open("/dev/null", O_RDONLY);
    if (dup2(nothing, 0) < 0 || dup2(input.get(), 1) < 0 || dup2(input.get(), 2) < 0 ||
        syscall(SYS_close_range, 3U, ~0U, 0U) != 0 || !become(who))
      _exit(126);
    prepared.become_it();
  }
  input.close();
  command_outcome outcome;
  std::array<char, 4096> part{};
  for (;;) {
    const auto size = read(output.get(), part.data(), part.size());
    if (size > 0)
      outcome.output.append(part.data(), static_cast<std::size_t>(size));
    else if (size == 0 || errno != EINTR)
      break;
  }
  outcome.status = exit_status_of(child);
  return outcome;
}

/// Starts a program that outlives us and is nobody's child, with its words appended to `log`. As long as it
/// runs it holds `lifeline`.
void run_detached(const account& who,
                  const std::vector<std::string>& words,
                  const fs::path& log,
                  int lifeline) {
  command prepared{words};
  const auto child = fork();
  if (child == 0) {
    if (fork() != 0)
      _exit(0);
    setsid();
    const auto nothing = open("/dev/null", O_RDONLY);
    if (dup2(nothing, 0) < 0 || !become(who))
      _exit(126);
    const auto output = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (dup2(output, 1) < 0 || dup2(output, 2) < 0 ||
        (lifeline >= 0 ? dup2(lifeline, 3) : open("/dev/null", O_RDONLY)) < 0 ||
        syscall(SYS_close_range, 4U, ~0U, 0U) != 0)
      _exit(126);
    prepared.become_it();
  }
  if (child > 0)
    exit_status_of(child);
}

bool can_use(const account& who, const fs::path& folder) {
  const auto child = fork();
  if (child == 0)
    _exit(become(who) && access(folder.c_str(), R_OK | W_OK | X_OK) == 0 ? 0 : 1);
  return child > 0 && exit_status_of(child) == 0;
}

std::string last_line(std::string_view text) {
  while (!text.empty() && text.back() == '\n')
    text.remove_suffix(1);
  const auto start = text.rfind('\n');
  return std::string{start == std::string_view::npos ? text : text.substr(start + 1)};
}

error command_failure(const std::string& doing, const fs::path& folder, std::string_view output) {
  if (output.find("No space left on device") != std::string_view::npos)
    return refused(doing + " in " + folder.string() + " failed: no space is left on its disk.");
  if (output.find("Permission denied") != std::string_view::npos)
    return refused(doing + " in " + folder.string() + " failed: permission denied.");
  const auto fatal = output.rfind("FATAL:");
  const auto end = fatal == std::string_view::npos ? fatal : output.find('\n', fatal);
  return refused(doing + " in " + folder.string() + " failed: " + last_line(output.substr(0, end)));
}

std::string read_text(const fs::path& path) {
  std::ifstream file{path};
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

/// Stable for a path, also between versions of the program: FNV-1a.
std::string hash_of(const fs::path& path) {
  std::uint64_t hash = 14695981039346656037U;
  for (const auto c : path.string())
    hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211U;
  std::array<char, 17> text{};
  std::snprintf(text.data(), text.size(), "%016llx", static_cast<unsigned long long>(hash));
  return text.data();
}

/// Makes `folder` with `mode` for `who`, or checks that an existing one is no link and belongs to it.
result<> own_folder(const fs::path& folder, mode_t mode, const account& who) {
  if (mkdir(folder.c_str(), mode) != 0 && errno != EEXIST)
    return refused("Making the folder", folder, errno);
  struct stat state {};
  if (lstat(folder.c_str(), &state) != 0)
    return refused("Reading the folder", folder, errno);
  if (!S_ISDIR(state.st_mode))
    return refused(folder.string() + " is in the way: it is no folder.");
  // Of root's folders only: another's stays that one's.
  if (state.st_uid != who.user &&
      (geteuid() != 0 || state.st_uid != 0 || chown(folder.c_str(), who.user, who.group) != 0))
    return refused("The folder " + folder.string() + " belongs to another user.");
  if ((state.st_mode & 07777U) != mode && chmod(folder.c_str(), mode) != 0)
    return refused("Closing the folder to others", folder, errno);
  return {};
}

result<> write_text(const fs::path& path, const std::string& text, const account& who) {
  const descriptor file{open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600)};
  if (!file || write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
      (who.is_other && fchown(file.get(), who.user, who.group) != 0))
    return refused("Writing", path, errno);
  return {};
}

/// Made by root it is `who`'s, who may come without root later.
result<descriptor> open_lock(const fs::path& path, const account& who) {
  descriptor file{open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)};
  if (!file || (who.is_other && fchown(file.get(), who.user, who.group) != 0))
    return refused("Opening the lock", path, errno);
  return file;
}

bool take_lock(const descriptor& file, int how) {
  while (flock(file.get(), how) != 0)
    if (errno != EINTR)
      return false;
  return true;
}

// --- PostgreSQL's programs

struct binaries {
  fs::path folder;
  int major = 0;
};

std::optional<binaries> look_at(const fs::path& folder, const account& who) {
  for (const auto* const name : {"initdb", "postgres"})
    if (access((folder / name).c_str(), X_OK) != 0)
      return std::nullopt;
  const auto version = run_command(who, {(folder / "postgres").string(), "--version"});
  const std::string_view marker = "(PostgreSQL) ";
  const auto at = version.output.find(marker);
  if (version.status != 0 || at == std::string::npos)
    return std::nullopt;
  binaries found{folder, 0};
  std::from_chars(version.output.data() + at + marker.size(), version.output.data() + version.output.size(),
                  found.major);
  return found;
}

/// Those to use for a folder of version `wanted` (0: a new one).
result<binaries>
find_binaries(const fs::path& given, int wanted, const fs::path& folder, const account& who) {
  std::vector<fs::path> candidates;
  if (!given.empty()) {
    candidates.push_back(given);
  } else {
    const auto configured = run_command(who, {"pg_config", "--bindir"});
    if (configured.status == 0)
      candidates.emplace_back(last_line(configured.output));
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator{"/usr/lib/postgresql", ignored})
      candidates.push_back(entry.path() / "bin");
  }
  std::vector<binaries> found;
  for (const auto& candidate : candidates)
    if (auto one = look_at(candidate, who))
      found.push_back(std::move(*one));
  if (found.empty())
    return refused(
      "PostgreSQL's programs (initdb, postgres) were not found" +
      (given.empty() ? std::string{} : " in " + given.string()) +
      ": install PostgreSQL 15 or newer (Debian: apt-get install postgresql-15), or name a database "
      "by DATABASE_URL.");
  const auto fitting =
    wanted == 0 ? std::max_element(found.begin(), found.end(),
                                   [](const auto& a, const auto& b) { return a.major < b.major; })
                : std::find_if(found.begin(), found.end(), [&](const auto& b) { return b.major == wanted; });
  if (fitting == found.end())
    return refused("The database in " + folder.string() + " was made by PostgreSQL " +
                   std::to_string(wanted) + ", but found was only " + std::to_string(found.front().major) +
                   " (" + found.front().folder.string() + "): install PostgreSQL " + std::to_string(wanted) +
                   ", or move the data over with pg_upgrade or pg_dump.");
  if (fitting->major < 15)
    return refused("PostgreSQL 15 or newer is needed; found was " + std::to_string(fitting->major) + " in " +
                   fitting->folder.string() + ".");
  return *fitting;
}

// --- processes

bool works_in(pid_t pid, const fs::path& folder) {
  std::error_code failure;
  return fs::read_symlink("/proc/" + std::to_string(pid) + "/cwd", failure) == folder && !failure;
}

/// Every process of a server, also of one whose postmaster is gone, has the database's folder as its own.
std::vector<pid_t> processes_in(const fs::path& folder) {
  std::vector<pid_t> found;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator{"/proc", ignored}) {
    const auto name = entry.path().filename().string();
    pid_t pid = 0;
    const auto [rest, failure] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (failure == std::errc{} && rest == name.data() + name.size() && works_in(pid, folder))
      found.push_back(pid);
  }
  return found;
}

int milliseconds_until(std::chrono::steady_clock::time_point deadline) {
  const auto left =
    std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
  return static_cast<int>(std::max<std::int64_t>(left.count(), 0));
}

/// True once `pid` is gone.
bool wait_for_end(pid_t pid, std::chrono::steady_clock::time_point deadline) {
  const descriptor process{static_cast<int>(syscall(SYS_pidfd_open, pid, 0U))};
  if (!process)
    return errno == ESRCH;
  pollfd ended{process.get(), POLLIN, 0};
  while (poll(&ended, 1, milliseconds_until(deadline)) < 0)
    if (errno != EINTR)
      return false;
  return ended.revents != 0;
}

/// `postmaster.pid`: https://www.postgresql.org/docs/15/storage-file-layout.html
struct pid_file {
  pid_t pid = 0;
  std::string socket_folder;
  std::string status;
};

std::optional<pid_file> read_pid_file(const fs::path& path) {
  std::istringstream text{read_text(path)};
  std::array<std::string, 8> lines;
  for (auto& line : lines)
    std::getline(text, line);
  pid_file read;
  std::from_chars(lines[0].data(), lines[0].data() + lines[0].size(), read.pid);
  if (read.pid <= 0)
    return std::nullopt;
  read.socket_folder = lines[4];
  read.status = lines[7].substr(0, lines[7].find(' '));
  return read;
}

std::string percent_encoded(std::string_view text) {
  std::string encoded;
  for (const auto c : text) {
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
        c == '.') {
      encoded += c;
      continue;
    }
    std::array<char, 4> code{};
    std::snprintf(code.data(), code.size(), "%%%02X", static_cast<unsigned>(static_cast<unsigned char>(c)));
    encoded += code.data();
  }
  return encoded;
}

std::string doubled(std::string_view text, char quote) {
  std::string quoted;
  for (const auto c : text) {
    if (c == quote)
      quoted += quote;
    quoted += c;
  }
  return quoted;
}

} // namespace

struct private_postgres::implementation {
  private_postgres_options options;
  account who;
  fs::path folder;
  fs::path database;
  fs::path socket_folder;
  binaries programs;
  std::string url;
  pid_t pid = 0;
  /// Held exclusively while the database is made, started or stopped.
  descriptor change_lock;
  /// Held shared by everyone who uses it.
  descriptor use_lock;

  result<> choose_folder() {
    std::error_code failure;
    const auto data = fs::absolute(options.data_dir, failure).lexically_normal();
    if (mkdir(data.c_str(), who.is_other ? 0711 : 0700) != 0 && errno != EEXIST)
      return refused("Making the folder", data, errno);
    folder = fs::canonical(data, failure) / "postgres";
    const auto shared_folder = fs::path{"/var/lib/skyengine"};
    const auto other = shared_folder / hash_of(folder);
    // Once there, always there: a folder that becomes reachable later must not hide the database.
    const auto is_there = who.is_other && fs::exists(other / "data" / "PG_VERSION", failure) &&
                          !fs::exists(folder / "data" / "PG_VERSION", failure);
    if (!is_there) {
      if (auto owned = own_folder(folder, 0700, who); !owned)
        return owned;
      if (!who.is_other || can_use(who, folder))
        return {};
    }
    if (mkdir(shared_folder.c_str(), 0755) != 0 && errno != EEXIST)
      return refused("Making the folder", shared_folder, errno);
    log::warn("the account postgres cannot reach the data folder, so the database lies elsewhere",
              {{"folder", folder.native()}, {"database", other.native()}});
    folder = other;
    return own_folder(folder, 0700, who);
  }

  result<> choose_socket_folder() {
    socket_folder = folder / "socket";
    if (socket_folder.string().size() + socket_name.size() > longest_socket_path) {
      const auto name = "skyengine-" + std::to_string(who.user) + '-' + hash_of(folder);
      socket_folder = (access("/run", W_OK) == 0 ? fs::path{"/run"} : fs::path{"/tmp"}) / name;
    }
    return own_folder(socket_folder, 0700, who);
  }

  int folder_version() const {
    const auto text = read_text(database / "PG_VERSION");
    int version = 0;
    std::from_chars(text.data(), text.data() + text.size(), version);
    return version;
  }

  /// A half-made database of a start that was killed is under the other name, and made anew.
  result<> make_database() {
    const auto half_made = folder / "data.new";
    std::error_code failure;
    fs::remove_all(half_made, failure);
    std::vector<std::string> words{(programs.folder / "initdb").string(),
                                   "--pgdata=" + half_made.string(),
                                   std::string{"--username="} + role,
                                   "--auth=trust",
                                   "--encoding=UTF8",
                                   "--locale=C",
                                   "--no-instructions"};
    if (!options.is_durable)
      words.emplace_back("--no-sync");
    const auto made = run_command(who, words);
    if (made.status != 0)
      return command_failure("Making a database", folder, made.output);
    fs::rename(half_made, database, failure);
    if (failure)
      return refused("Renaming", half_made, failure.value());
    // Nobody waits until all of it is on disk; the server itself writes what it changes.
    if (options.is_durable)
      run_detached(who,
                   {(programs.folder / "initdb").string(), "--sync-only", "--pgdata=" + database.string()},
                   "/dev/null", -1);
    return {};
  }

  result<> write_settings() const {
    std::ostringstream text;
    text << "# Written at each start.\n"
         << "listen_addresses = ''\n"
         << "port = 5432\n"
         << "unix_socket_directories = '\"" << doubled(doubled(socket_folder.string(), '"'), '\'') << "\"'\n"
         << "unix_socket_permissions = 0700\n"
         << "max_connections = 100\n"
         << "shared_buffers = 32MB\n"
         << "max_wal_size = 512MB\n"
         << "jit = off\n"
         << "timezone = 'UTC'\n"
         << "log_timezone = 'UTC'\n"
         << "lc_messages = 'C'\n"
         << "fsync = " << (options.is_durable ? "on" : "off") << '\n'
         << "full_page_writes = " << (options.is_durable ? "on" : "off")
         << '\n'
         // What was asked of the database is not the log's to tell.
         << "log_error_verbosity = terse\n"
         << "log_min_error_statement = panic\n"
         << "log_checkpoints = off\n";
    return write_text(database / "postgresql.conf", text.str(), who);
  }

  /// The running postmaster, if there is one; waits for one that is on its way up or down.
  result<std::optional<pid_file>> find_running() const {
    const auto deadline = std::chrono::steady_clock::now() + longest_start;
    const auto path = database / "postmaster.pid";
    for (;;) {
      const descriptor changes{inotify_init1(IN_CLOEXEC | IN_NONBLOCK)};
      inotify_add_watch(changes.get(), path.c_str(), IN_MODIFY | IN_ATTRIB | IN_DELETE_SELF);
      const auto read = read_pid_file(path);
      if (!read || !works_in(read->pid, database))
        return std::optional<pid_file>{};
      if (read->status == "ready")
        return std::optional{*read};
      const descriptor process{static_cast<int>(syscall(SYS_pidfd_open, read->pid, 0U))};
      std::array<pollfd, 2> events{pollfd{changes.get(), POLLIN, 0}, pollfd{process.get(), POLLIN, 0}};
      if (poll(events.data(), events.size(), milliseconds_until(deadline)) == 0)
        return refused("The PostgreSQL in " + folder.string() + " was found " + read->status +
                       " and did not get ready.");
    }
  }

  /// No start beside processes of a dead postmaster: they may still write.
  result<> wait_for_orphans() const {
    const auto deadline = std::chrono::steady_clock::now() + longest_wait_for_orphans;
    for (const auto orphan : processes_in(database))
      if (!wait_for_end(orphan, deadline))
        return refused("A process (" + std::to_string(orphan) + ") of an earlier PostgreSQL still works in " +
                       folder.string() + ".");
    return {};
  }

  result<> launch() {
    if (auto alone = wait_for_orphans(); !alone)
      return alone;
    if (auto ready = choose_socket_folder(); !ready)
      return ready;
    // What a killed one left names a process id that may be a stranger's by now, which PostgreSQL would take
    // for its own kind.
    unlink((database / "postmaster.pid").c_str());
    unlink((socket_folder.string() + std::string{socket_name} + ".lock").c_str());
    if (auto written = write_settings(); !written)
      return written;
    const auto log_file = folder / "postgres.log";
    std::error_code failure;
    if (fs::file_size(log_file, failure) > largest_log && !failure)
      fs::rename(log_file, folder / "postgres.log.1", failure);
    const auto old_log = read_text(log_file).size();

    std::array<int, 2> ends{};
    const descriptor changes{inotify_init1(IN_CLOEXEC | IN_NONBLOCK)};
    if (!changes ||
        inotify_add_watch(changes.get(), database.c_str(), IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE) < 0 ||
        pipe2(ends.data(), O_CLOEXEC) != 0)
      return refused("Watching", database, errno);
    const descriptor end{ends[0]};
    descriptor lifeline{ends[1]};
    // Not by pg_ctl, which hands the paths to a shell.
    run_detached(who, {(programs.folder / "postgres").string(), "-D", database.string()}, log_file,
                 lifeline.get());
    lifeline.close();
    const auto deadline = std::chrono::steady_clock::now() + longest_start;
    for (;;) {
      std::array<pollfd, 2> events{pollfd{changes.get(), POLLIN, 0}, pollfd{end.get(), POLLIN, 0}};
      if (poll(events.data(), events.size(), milliseconds_until(deadline)) == 0)
        return refused("PostgreSQL did not get ready in " + folder.string() + "; see postgres.log there.");
      if (const auto read = read_pid_file(database / "postmaster.pid"); read && read->status == "ready")
        return {};
      if (events[1].revents != 0)
        return command_failure("Starting PostgreSQL", folder, read_text(log_file).substr(old_log));
      std::array<char, 4096> unread{};
      while (read(changes.get(), unread.data(), unread.size()) > 0) {
      }
    }
  }

  /// The caller holds the change lock.
  result<> bring_up() {
    auto running = find_running();
    if (!running)
      return running.error();
    const auto version = folder_version();
    auto found = find_binaries(options.bindir, version, folder, who);
    if (!found)
      return found.error();
    programs = *found;
    if (*running) {
      use(**running);
      auto answered = ensure_database();
      // One that was just killed looks alive for a moment.
      if (answered || !wait_for_end(pid, std::chrono::steady_clock::now() + longest_death))
        return answered;
    }
    if (version == 0)
      if (auto made = make_database(); !made)
        return made;
    if (auto launched = launch(); !launched)
      return launched;
    running = find_running();
    if (!running)
      return running.error();
    if (!*running)
      return refused("PostgreSQL ended right after its start in " + folder.string() +
                     "; see postgres.log there.");
    use(**running);
    return ensure_database();
  }

  void use(const pid_file& running) {
    pid = running.pid;
    socket_folder = running.socket_folder;
    url = std::string{"postgresql://"} + role + '@' + percent_encoded(socket_folder.string()) + '/' +
          database_name;
  }

  result<> ensure_database() const {
    const std::array<const char*, 5> keywords{"host", "user", "dbname", "connect_timeout", nullptr};
    const auto host = socket_folder.string();
    const std::array<const char*, 5> values{host.c_str(), role, "postgres", "10", nullptr};
    const std::unique_ptr<PGconn, decltype(&PQfinish)> link{
      PQconnectdbParams(keywords.data(), values.data(), 0), PQfinish};
    const auto run = [&](const std::string& sql) {
      return std::unique_ptr<PGresult, decltype(&PQclear)>{PQexec(link.get(), sql.c_str()), PQclear};
    };
    const auto found = run(std::string{"SELECT 1 FROM pg_database WHERE datname = '"} + database_name + '\'');
    if (PQresultStatus(found.get()) != PGRES_TUPLES_OK)
      return refused("The PostgreSQL in " + folder.string() +
                     " does not answer: " + last_line(PQerrorMessage(link.get())));
    if (PQntuples(found.get()) == 0 &&
        PQresultStatus(run(std::string{"CREATE DATABASE "} + database_name).get()) != PGRES_COMMAND_OK)
      return command_failure("Making a database", folder, PQerrorMessage(link.get()));
    return {};
  }

  result<> enter() {
    auto account_found = find_account(options.data_dir / "postgres");
    if (!account_found)
      return account_found.error();
    who = *account_found;
    if (auto chosen = choose_folder(); !chosen)
      return chosen;
    database = folder / "data";
    auto changes = open_lock(folder / "change.lock", who);
    if (!changes)
      return changes.error();
    change_lock = std::move(*changes);
    auto uses = open_lock(folder / "use.lock", who);
    if (!uses)
      return uses.error();
    use_lock = std::move(*uses);
    if (!take_lock(change_lock, LOCK_EX) || !take_lock(use_lock, LOCK_SH))
      return refused("Locking", folder, errno);
    auto up = bring_up();
    take_lock(change_lock, LOCK_UN);
    return up;
  }

  void leave() {
    if (!use_lock)
      return;
    // Whoever comes now waits for the lock, and finds it stopped or running, never stopping.
    take_lock(change_lock, LOCK_EX);
    if (take_lock(use_lock, LOCK_EX | LOCK_NB) && pid != 0 && works_in(pid, database))
      stop();
    use_lock.close();
    change_lock.close();
  }

  void stop() {
    const auto deadline = std::chrono::steady_clock::now() + longest_stop;
    kill(pid, SIGINT);
    if (wait_for_end(pid, deadline))
      return;
    log::warn("PostgreSQL did not stop in time and is stopped hard", {{"pid", pid}});
    kill(pid, SIGQUIT);
    wait_for_end(pid, deadline + longest_stop);
  }
};

private_postgres::private_postgres(std::unique_ptr<implementation> made) : implementation_(std::move(made)) {}
private_postgres::private_postgres(private_postgres&&) noexcept = default;
private_postgres& private_postgres::operator=(private_postgres&& other) noexcept {
  std::swap(implementation_, other.implementation_);
  return *this;
}

private_postgres::~private_postgres() {
  if (implementation_)
    implementation_->leave();
}

result<private_postgres> private_postgres::start(const private_postgres_options& options) {
  auto made = std::make_unique<implementation>();
  made->options = options;
  if (const auto entered = made->enter(); !entered) {
    made->leave();
    return entered.error();
  }
  return private_postgres{std::move(made)};
}

const std::string& private_postgres::url() const noexcept {
  return implementation_->url;
}

const std::filesystem::path& private_postgres::folder() const noexcept {
  return implementation_->folder;
}

int private_postgres::pid() const noexcept {
  return implementation_->pid;
}

result<> private_postgres::ensure_running() {
  auto& self = *implementation_;
  if (!take_lock(self.change_lock, LOCK_EX))
    return refused("Locking", self.folder, errno);
  auto up = self.bring_up();
  take_lock(self.change_lock, LOCK_UN);
  return up;
}

void private_postgres::leave() {
  implementation_->leave();
}

} // namespace skyengine::db
