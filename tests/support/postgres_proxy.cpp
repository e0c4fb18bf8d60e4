#include "tests/support/postgres_proxy.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/write.hpp>
#include <libpq-fe.h>

#include <array>
#include <stdexcept>
#include <string_view>
#include <vector>

namespace skyengine::test {

namespace asio = boost::asio;
using local = asio::local::stream_protocol;

namespace {

std::string setting_of(const std::string& url, std::string_view keyword) {
  const std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> options{
    PQconninfoParse(url.c_str(), nullptr), PQconninfoFree};
  for (const auto* option = options.get(); option != nullptr && option->keyword != nullptr; ++option)
    if (keyword == option->keyword && option->val != nullptr)
      return option->val;
  throw std::runtime_error("the URL names no " + std::string{keyword});
}

/// How the text of the prepared COMMIT and its answer look on the wire.
constexpr std::string_view commit_text{"COMMIT\0", 7};

} // namespace

struct postgres_proxy::implementation : std::enable_shared_from_this<implementation> {
  struct pair : std::enable_shared_from_this<pair> {
    pair(implementation& from, local::socket accepted)
        : owner(from), client(std::move(accepted)), server(from.loop) {}

    void cut() {
      boost::system::error_code ignored;
      client.close(ignored);
      server.close(ignored);
    }

    void read_client() {
      client.async_read_some(asio::buffer(to_server), [self = shared_from_this()](
                                                        boost::system::error_code failure, std::size_t size) {
        if (failure)
          return self->is_held ? void() : self->cut();
        self->forward_to_server(size);
      });
    }

    void forward_to_server(std::size_t size) {
      const std::string_view bytes{to_server.data(), size};
      if (owner.next != at_commit::pass && bytes.find(commit_text) != std::string_view::npos) {
        const auto what = std::exchange(owner.next, at_commit::pass);
        loses_answer = what == at_commit::lose_answer;
        if (what == at_commit::lose_request) {
          owner.has_cut = true;
          return cut();
        }
        if (what == at_commit::hold_request) {
          owner.has_cut = true;
          is_held = true;
          held = bytes;
          boost::system::error_code ignored;
          client.close(ignored);
          return;
        }
      }
      asio::async_write(server, asio::buffer(to_server, size),
                        [self = shared_from_this()](boost::system::error_code failure, std::size_t) {
                          if (failure)
                            return self->cut();
                          self->read_client();
                        });
    }

    void read_server() {
      server.async_read_some(asio::buffer(to_client), [self = shared_from_this()](
                                                        boost::system::error_code failure, std::size_t size) {
        if (failure)
          return self->cut();
        self->forward_to_client(size);
      });
    }

    void forward_to_client(std::size_t size) {
      if (loses_answer &&
          std::string_view{to_client.data(), size}.find(commit_text) != std::string_view::npos) {
        owner.has_cut = true;
        return cut();
      }
      if (is_held)
        return read_server();
      asio::async_write(client, asio::buffer(to_client, size),
                        [self = shared_from_this()](boost::system::error_code failure, std::size_t) {
                          if (failure)
                            return self->cut();
                          self->read_server();
                        });
    }

    implementation& owner;
    local::socket client;
    local::socket server;
    std::array<char, 65536> to_server{};
    std::array<char, 65536> to_client{};
    bool loses_answer = false;
    bool is_held = false;
    std::string held;
  };

  implementation(asio::io_context& on, const std::filesystem::path& folder, const std::string& url)
      : loop(on), target(setting_of(url, "host") + "/.s.PGSQL.5432"),
        acceptor(on, local::endpoint{(folder / ".s.PGSQL.5432").string()}) {}

  void accept() {
    acceptor.async_accept(
      [self = shared_from_this()](boost::system::error_code failure, local::socket accepted) {
        if (failure)
          return;
        self->accept();
        if (!self->is_accepting)
          return;
        const auto made = std::make_shared<pair>(*self, std::move(accepted));
        boost::system::error_code refused;
        made->server.connect(local::endpoint{self->target}, refused);
        if (refused)
          return;
        self->pairs.push_back(made);
        made->read_client();
        made->read_server();
      });
  }

  asio::io_context& loop;
  std::string target;
  local::acceptor acceptor;
  std::vector<std::weak_ptr<pair>> pairs;
  at_commit next = at_commit::pass;
  bool has_cut = false;
  bool is_accepting = true;
};

postgres_proxy::postgres_proxy(asio::io_context& loop,
                               const std::filesystem::path& folder,
                               const std::string& url)
    : url_("postgresql:///" + setting_of(url, "dbname") + "?user=" + setting_of(url, "user") +
           "&host=" + folder.string()),
      implementation_(std::make_shared<implementation>(loop, folder, url)) {
  implementation_->accept();
}

postgres_proxy::~postgres_proxy() {
  boost::system::error_code ignored;
  implementation_->acceptor.close(ignored);
  cut_all();
}

void postgres_proxy::next_commit(at_commit what) noexcept {
  implementation_->has_cut = false;
  implementation_->next = what;
}

bool postgres_proxy::has_cut() const noexcept {
  return implementation_->has_cut;
}

void postgres_proxy::release() {
  for (const auto& weak : implementation_->pairs)
    if (const auto p = weak.lock(); p && p->is_held)
      asio::write(p->server, asio::buffer(p->held));
}

void postgres_proxy::accept(bool yes) noexcept {
  implementation_->is_accepting = yes;
}

void postgres_proxy::cut_all() {
  for (const auto& weak : implementation_->pairs)
    if (const auto p = weak.lock())
      p->cut();
}

} // namespace skyengine::test
