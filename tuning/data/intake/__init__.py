"""What a data set makes of arrays as programs have them."""
