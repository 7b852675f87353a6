"""Masks and classes by people: files of annotation tools (COCO, Label Studio), and corrections back into a catalog."""
