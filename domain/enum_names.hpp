#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string_view>

namespace skyengine {

/// The names of an enumeration's values, which count from 0, in their order.
template <class E, std::size_t N>
class enum_names {
public:
  constexpr explicit enum_names(std::array<std::string_view, N> names) : names_(names) {}

  constexpr std::string_view name(E value) const noexcept { return names_[static_cast<std::size_t>(value)]; }
  constexpr std::optional<E> find(std::string_view name) const noexcept {
    for (std::size_t i = 0; i < N; ++i)
      if (names_[i] == name)
        return static_cast<E>(i);
    return std::nullopt;
  }

private:
  std::array<std::string_view, N> names_;
};

/// `Last` is the enumeration's last value: that none is left out is checked when it is compiled.
template <auto Last, class... Names>
constexpr auto names_up_to(Names... names) {
  static_assert(sizeof...(names) == static_cast<std::size_t>(Last) + 1);
  return enum_names<decltype(Last), sizeof...(names)>{
    std::array<std::string_view, sizeof...(names)>{names...}};
}

} // namespace skyengine
