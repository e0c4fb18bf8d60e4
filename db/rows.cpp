#include "db/rows.hpp"

#include <libpq-fe.h>

#include <charconv>
#include <chrono>
#include <stdexcept>

namespace skyengine::db {

namespace detail {

namespace {

[[noreturn]] void refuse(const char* expected, std::string_view text) {
  throw std::logic_error("not " + std::string{expected} + ": \"" + std::string{text} + "\"");
}

/// The elements of a one-dimensional array, unescaped; NULL is no value of any type that is read here.
std::vector<std::string> array_elements(std::string_view text) {
  constexpr auto expected = "a one-dimensional array without NULL";
  if (text.size() < 2 || text.front() != '{' || text.back() != '}')
    refuse(expected, text);
  std::vector<std::string> elements;
  if (text.size() == 2)
    return elements;
  const auto end = text.size() - 1;
  std::size_t at = 1;
  for (;;) {
    std::string element;
    if (text[at] == '"') {
      ++at;
      while (at < end && text[at] != '"') {
        if (text[at] == '\\' && ++at == end)
          refuse(expected, text);
        element += text[at++];
      }
      if (at == end)
        refuse(expected, text);
      ++at;
    } else {
      while (at < end && text[at] != ',') {
        if (text[at] == '{' || text[at] == '}' || text[at] == '"')
          refuse(expected, text);
        if (text[at] == '\\' && ++at == end)
          refuse(expected, text);
        element += text[at++];
      }
      if (element.empty() || element == "NULL")
        refuse(expected, text);
    }
    elements.push_back(std::move(element));
    if (at == end)
      return elements;
    if (text[at] != ',' || ++at == end)
      refuse(expected, text);
  }
}

/// Exactly `digits` decimal digits at the front of `text`, which they are taken from.
bool take_number(std::string_view& text, std::size_t digits, int& value) {
  if (text.size() < digits)
    return false;
  value = 0;
  for (std::size_t i = 0; i < digits; ++i) {
    if (text[i] < '0' || text[i] > '9')
      return false;
    value = value * 10 + (text[i] - '0');
  }
  text.remove_prefix(digits);
  return true;
}

bool take(std::string_view& text, char expected) {
  if (text.empty() || text.front() != expected)
    return false;
  text.remove_prefix(1);
  return true;
}

} // namespace

std::int64_t to_int64(std::string_view text) {
  std::int64_t value = 0;
  const auto [rest, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc{} || rest != text.data() + text.size())
    refuse("a 64-bit integer", text);
  return value;
}

bool to_bool(std::string_view text) {
  if (text == "t")
    return true;
  if (text == "f")
    return false;
  refuse("a boolean", text);
}

instant to_instant(std::string_view text) {
  auto rest = text;
  int year = 0;
  int month = 0;
  int day = 0;
  int hour = 0;
  int minute = 0;
  int second = 0;
  int micros = 0;
  const auto reads = take_number(rest, 4, year) && take(rest, '-') && take_number(rest, 2, month) &&
                     take(rest, '-') && take_number(rest, 2, day) && take(rest, ' ') &&
                     take_number(rest, 2, hour) && take(rest, ':') && take_number(rest, 2, minute) &&
                     take(rest, ':') && take_number(rest, 2, second);
  const std::chrono::year_month_day date{std::chrono::year{year},
                                         std::chrono::month{static_cast<unsigned>(month)},
                                         std::chrono::day{static_cast<unsigned>(day)}};
  if (!reads || !date.ok())
    refuse("a point of time", text);
  if (take(rest, '.')) {
    int digits = 0;
    for (int digit = 0; digits < 6 && take_number(rest, 1, digit); ++digits)
      micros = micros * 10 + digit;
    if (digits == 0)
      refuse("a point of time", text);
    for (; digits < 6; ++digits)
      micros *= 10;
  }
  // The session's time zone is UTC, so anything else is a statement that asked for it.
  if (rest != "+00")
    refuse("a point of time in UTC", text);
  return std::chrono::sys_days{date} + std::chrono::hours{hour} + std::chrono::minutes{minute} +
         std::chrono::seconds{second} + std::chrono::microseconds{micros};
}

std::vector<std::string> to_text_array(std::string_view text) {
  return array_elements(text);
}

std::vector<std::int64_t> to_int64_array(std::string_view text) {
  std::vector<std::int64_t> numbers;
  for (const auto& element : array_elements(text))
    numbers.push_back(to_int64(element));
  return numbers;
}

} // namespace detail

std::optional<std::string_view> row::text(std::string_view column) const {
  const auto columns = PQnfields(result_);
  // Readers go by the statement's order, so that the next column is nearly always the one asked for.
  auto i = next_;
  for (int seen = 0; seen < columns; ++seen, ++i) {
    if (i >= columns)
      i = 0;
    if (column != PQfname(result_, i))
      continue;
    next_ = i + 1;
    if (PQgetisnull(result_, index_, i) != 0)
      return std::nullopt;
    return std::string_view{PQgetvalue(result_, index_, i),
                            static_cast<std::size_t>(PQgetlength(result_, index_, i))};
  }
  throw std::logic_error("the statement has no column \"" + std::string{column} + "\"");
}

void row::throw_null(std::string_view column) {
  throw std::logic_error("column \"" + std::string{column} + "\" is NULL");
}

rows::rows(pg_result* result) : result_(result, PQclear) {}

std::size_t rows::size() const noexcept {
  return static_cast<std::size_t>(PQntuples(result_.get()));
}

std::int64_t rows::affected() const noexcept {
  const std::string_view text = PQcmdTuples(result_.get());
  std::int64_t count = 0;
  std::from_chars(text.data(), text.data() + text.size(), count);
  return count;
}

std::string_view rows::command() const noexcept {
  return result_ ? PQcmdStatus(result_.get()) : "";
}

} // namespace skyengine::db
