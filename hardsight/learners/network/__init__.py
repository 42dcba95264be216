"""Networks and the engines that train them."""
