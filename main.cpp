#include <cstdio>

int main() {
  std::puts("skyengine 0.1.0");
  return 0;
}
