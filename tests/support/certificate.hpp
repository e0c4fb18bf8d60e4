#pragma once

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>

namespace skyengine::test {

/// A key and a certificate signed by itself, in PEM files of a temporary folder.
class certificate {
public:
  /// `names` as OpenSSL writes alternative names: "DNS:localhost,IP:127.0.0.1".
  explicit certificate(const char* names) {
    std::string folder = (std::filesystem::temp_directory_path() / "certificate-XXXXXX").string();
    if (mkdtemp(folder.data()) == nullptr)
      throw std::runtime_error("no temporary folder");
    folder_ = folder;
    const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key{EVP_EC_gen("P-256"), EVP_PKEY_free};
    const std::unique_ptr<X509, decltype(&X509_free)> made{X509_new(), X509_free};
    X509_set_version(made.get(), 2);
    ASN1_INTEGER_set(X509_get_serialNumber(made.get()), 1);
    X509_gmtime_adj(X509_getm_notBefore(made.get()), -3'600);
    X509_gmtime_adj(X509_getm_notAfter(made.get()), 3'600);
    X509_set_pubkey(made.get(), key.get());
    auto* const subject = X509_get_subject_name(made.get());
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("test"),
                               -1, -1, 0);
    X509_set_issuer_name(made.get(), subject);
    const std::unique_ptr<X509_EXTENSION, decltype(&X509_EXTENSION_free)> alternatives{
      X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, names), X509_EXTENSION_free};
    if (!alternatives || X509_add_ext(made.get(), alternatives.get(), -1) != 1 ||
        X509_sign(made.get(), key.get(), EVP_sha256()) == 0)
      throw std::runtime_error("no certificate");
    save(certificate_file(), [&](std::FILE* file) { return PEM_write_X509(file, made.get()); });
    save(key_file(), [&](std::FILE* file) {
      return PEM_write_PrivateKey(file, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    });
  }

  ~certificate() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  certificate(const certificate&) = delete;
  certificate& operator=(const certificate&) = delete;

  std::string certificate_file() const { return folder_ / "certificate.pem"; }
  std::string key_file() const { return folder_ / "key.pem"; }

private:
  template <class Write>
  static void save(const std::string& path, Write write) {
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file{std::fopen(path.c_str(), "w"), std::fclose};
    if (!file || write(file.get()) != 1)
      throw std::runtime_error("cannot write " + path);
  }

  std::filesystem::path folder_;
};

} // namespace skyengine::test
