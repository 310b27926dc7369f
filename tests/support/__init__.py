"""What tests of several layers share: checkers, real servers, leak detection."""
