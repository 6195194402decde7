"""Draws what a background-replacement model would: a scene after the prompt, and the product standing in it.

Plain Pillow, and the same bytes for the same inputs. `brief` reads the prompt, the scene modules paint, `composite`
puts the product in.
"""
