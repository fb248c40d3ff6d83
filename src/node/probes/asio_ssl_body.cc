// The one translation unit that compiles the implementation of Asio's TLS
// (BOOST_ASIO_SEPARATE_COMPILATION).
#include <boost/asio/ssl/impl/src.hpp>
